//! Five replicas, of which the four fastest make each step; the late one is told so.
//!
//! (When all five are there before the mean is asked for, all five are in it.)
//!
//! Run it with `cargo run -p accum-core --example backup_replica`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]
#![allow(clippy::disallowed_methods, reason = "it is the caller that brings threads")]

use std::sync::Barrier;
use std::thread;

use accum_core::{Applied, ConditionalAccumulator, Reduction};
use ndarray::array;

const REPLICAS: usize = 5;
const TO_AGGREGATE: i64 = 4;
const STEPS: i64 = 3;

fn main() {
    let acc = ConditionalAccumulator::<f32>::new([2], Reduction::Mean);
    let (start, end) = (Barrier::new(REPLICAS + 1), Barrier::new(REPLICAS + 1));
    thread::scope(|scope| {
        for replica in 0..REPLICAS {
            let (acc, start, end) = (acc.clone(), &start, &end);
            scope.spawn(move || {
                for step in 0..STEPS {
                    start.wait();
                    match acc.apply_grad(array![replica as f32, step as f32], step) {
                        Ok(Applied::Accepted { count }) => {
                            println!("step {step}: replica {replica} is number {count}");
                        }
                        Ok(Applied::Stale { global_step, .. }) => {
                            println!("step {step}: replica {replica} is late, at {global_step}");
                        }
                        Err(error) => eprintln!("replica {replica}: {error}"),
                    }
                    end.wait();
                }
            });
        }
        for _ in 0..STEPS {
            start.wait();
            let taken = acc.blocking_take_grad(TO_AGGREGATE);
            end.wait();
            match taken {
                Ok(taken) => println!(
                    "step {}: mean {} of {} gradients",
                    taken.step, taken.value, taken.count
                ),
                Err(error) => eprintln!("{error}"),
            }
        }
    });
}
