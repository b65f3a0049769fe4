//! Three replicas and a chief: the chief puts the tokens of each step, the replicas take what
//! comes.
//!
//! Run it with `cargo run -p token-queue --example replicas`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread;

use token_queue::{Token, TokenQueue};

const REPLICAS: usize = 3;
const STEPS: i64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let queue = TokenQueue::unbounded();
    let replicas: Vec<_> = (0..REPLICAS)
        .map(|replica| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut steps = Vec::new();
                while let Ok(token) = queue.blocking_dequeue() {
                    steps.push(token.step());
                }
                (replica, steps)
            })
        })
        .collect();

    for step in 1..=STEPS {
        let late = queue.try_enqueue_many_discarding_older(Token::new(step), REPLICAS)?;
        println!("step {step}: {REPLICAS} tokens put, {late} leftovers discarded");
    }
    // Every replica that waits is told; what is left is given out first.
    queue.blocking_close()?;

    for replica in replicas {
        let (replica, steps) = replica.join().map_err(|_| "a replica panicked")?;
        println!("replica {replica} worked on steps {steps:?}");
    }
    Ok(())
}
