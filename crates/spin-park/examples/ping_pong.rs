//! Two threads pass a ball: most returns are caught while spinning.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::thread;

use spin_park::block_on;
use tokio::sync::mpsc::unbounded_channel;

fn main() {
    let (serve, mut court) = unbounded_channel();
    let (back, mut home) = unbounded_channel();
    let other = thread::spawn(move || {
        let mut hits = 0;
        while let Some(ball) = block_on(court.recv()) {
            hits += 1;
            if back.send(ball).is_err() {
                break;
            }
        }
        hits
    });
    for ball in 0..1000 {
        serve.send(ball).expect("the other one plays");
        assert_eq!(block_on(home.recv()), Some(ball));
    }
    drop(serve);
    println!("{} hits", other.join().expect("it ends when nobody serves"));
}
