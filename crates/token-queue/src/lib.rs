//! A fair first-in first-out queue of global-step tokens, asynchronous and blocking.
//!
//! In synchronous training a replica may start its next gradient when it gets a token, and the
//! token tells it which global step to work on. This crate is the queue between the thread that
//! finishes a step and the replicas that wait for the next. It knows nothing of gradients, replicas
//! or training.
//!
//! - [`TokenQueue`] is shared by cloning; callers wait in order, as tasks or as threads, and a
//!   caller that gives up while it waits loses no token.
//! - [`Tokens`] is the plain line of tokens, for a state machine that has one owner.
//! - [`Token`] is the step, as its own type.
//!
//! It starts no thread, reads no clock and needs no runtime. A deadline is the caller's: drop the
//! future.
//!
//! # Examples
//! ```
//! use std::thread;
//!
//! use token_queue::{Token, TokenQueue};
//!
//! let queue = TokenQueue::unbounded();
//! let replica = thread::spawn({
//!     let queue = queue.clone();
//!     move || {
//!         let mut steps = Vec::new();
//!         while let Ok(token) = queue.blocking_dequeue() {
//!             steps.push(token.step());
//!         }
//!         steps
//!     }
//! });
//! for step in 1..=3 {
//!     queue.try_enqueue_many(Token::new(step), 2)?;
//! }
//! queue.blocking_close()?;
//! assert_eq!(replica.join().expect("the replica ends"), [1, 1, 2, 2, 3, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `serde`: `Serialize` and `Deserialize` for [`Token`], as a plain number.
//! - `test-util`: a reference model with generators, for property tests.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod token;
mod tokens;

mod attempts;
mod queue;

mod error;
mod sync;
#[cfg(feature = "test-util")]
pub mod test_util;

#[cfg(all(test, loom))]
mod interleavings;

pub use error::{CapacityError, CloseError, DequeueError, EnqueueError, TryEnqueueError};
pub use queue::TokenQueue;
pub use token::Token;
pub use tokens::Tokens;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
