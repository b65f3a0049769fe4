//! Tokens through the queue: alone, and there and back between two threads.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use token_queue::{Token, TokenQueue};

use crate::Work;

/// One thread puts a token and takes it.
pub(crate) struct Alone {
    queue: TokenQueue,
}

impl Alone {
    pub(crate) fn new() -> Self {
        Self { queue: TokenQueue::unbounded() }
    }
}

impl Work for Alone {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for step in 0..times {
            self.queue.try_enqueue(Token::new(step as i64)).expect("it is open");
            black_box(self.queue.try_dequeue()).expect("it is open");
        }
        begun.elapsed()
    }
}

/// A token goes to another thread by one queue, and comes back by a second.
pub(crate) struct ThereAndBack;

impl Work for ThereAndBack {
    fn run(&mut self, times: u64) -> Duration {
        let (there, back) = (TokenQueue::unbounded(), TokenQueue::unbounded());
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(token) = there.blocking_dequeue() {
                    back.try_enqueue(token).expect("it is open");
                }
            });
            let begun = Instant::now();
            for step in 0..times {
                there.try_enqueue(Token::new(step as i64)).expect("it is open");
                black_box(back.blocking_dequeue()).expect("it is open");
            }
            let spent = begun.elapsed();
            there.blocking_close().expect("it was open");
            spent
        })
    }
}
