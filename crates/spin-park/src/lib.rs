//! Runs a future on the calling thread, which spins briefly for its wake-up and then parks.
//!
//! A parked thread costs tens of microseconds to wake, and a wake-up that comes from another core
//! is often there sooner. How long a thread spins follows from how its last waits went: where
//! spinning pays it grows, where it does not it shrinks to nothing and is tried again now and then,
//! so that many threads on few cores do not burn each other's time.
//!
//! It is no runtime: it starts no thread, reads no clock and polls nothing but the one future.
//! Invariant: a wake-up that comes after a poll has begun leads to another poll.
//!
//! # Examples
//! A thread waits for a number that another one has:
//! ```
//! use std::future::poll_fn;
//! use std::sync::Mutex;
//! use std::task::{Poll, Waker};
//!
//! let there: Mutex<(Option<u32>, Option<Waker>)> = Mutex::default();
//! let answer = std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         let mut there = there.lock().unwrap();
//!         there.0 = Some(42);
//!         there.1.take().inspect(Waker::wake_by_ref);
//!     });
//!     spin_park::block_on(poll_fn(|context| {
//!         let mut there = there.lock().unwrap();
//!         there.1 = Some(context.waker().clone());
//!         there.0.map_or(Poll::Pending, Poll::Ready)
//!     }))
//! });
//! assert_eq!(answer, 42);
//! ```

mod signal;
mod sync;

#[cfg(all(test, loom))]
mod interleavings;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use self::signal::Signal;
use self::sync::Arc;

thread_local! {
    /// The thread's own signal, which also knows how well spinning paid here.
    static SIGNAL: Cell<Option<Arc<Signal>>> = const { Cell::new(None) };
}

/// Waits for a future, holding up the thread.
///
/// # Panics
/// When the future does.
///
/// # Examples
/// ```
/// assert_eq!(spin_park::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // A nested call finds none and gets its own: the two must not take each other's wake-ups. Nor
    // does a call find one when the thread ends and its signal is gone.
    let kept = SIGNAL.try_with(Cell::take).ok().flatten();
    let signal = kept.unwrap_or_else(Signal::new);
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    let output = loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => break output,
            Poll::Pending => signal.wait(),
        }
    };
    // Where it is not kept, it goes with the call.
    let _ = SIGNAL.try_with(|kept| kept.set(Some(signal)));
    output
}

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
