//! The queue under loom: every interleaving of a few callers, by `cargo xtask loom`.
//!
//! A wake-up that is lost is a deadlock here, which loom reports with the way to it. The rules of
//! the queue are tested elsewhere; this is about locks and wakers alone.

mod closing;
mod giving_up;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread::spawn;

use crate::{DequeueError, EnqueueError, Token, TokenQueue};

/// Runs a model in every interleaving within the bound on preemptions, and prints how many.
fn check(model: impl Fn() + Send + Sync + 'static) {
    // Not one of loom's: it goes on counting from one interleaving to the next.
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let current = std::thread::current();
    println!("interleavings {} {}", current.name().unwrap_or("?"), count.load(Ordering::Relaxed));
}

/// Polls once with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn token(step: i64) -> Token {
    Token::new(step)
}
