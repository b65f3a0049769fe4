//! A fair first-in first-out queue of global-step tokens, asynchronous and blocking.
//!
//! In synchronous training a replica may start its next gradient when it gets a token, and the
//! token tells it which global step to work on. This crate is the queue between the thread that
//! finishes a step and the replicas that wait for the next. It knows nothing of gradients, replicas
//! or training.
//!
//! Callers wait in order, as tasks or as threads, and one that gives up while it waits loses no
//! token. It starts no thread, reads no clock and needs no runtime. A deadline is the caller's:
//! drop the future.
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
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a queue that is shared, by cloning | [`TokenQueue`] |
//! | a step, as a type of its own | [`Token`] |
//! | tokens in, once there is room | [`TokenQueue::enqueue`], [`TokenQueue::enqueue_many`] |
//! | tokens in, at once or not at all | [`TokenQueue::try_enqueue_many`] |
//! | tokens out, in a task | [`TokenQueue::dequeue`] |
//! | tokens out, in a thread | [`TokenQueue::blocking_dequeue`] |
//! | the end, with or without what is left | [`TokenQueue::close`] |
//! | the plain line, for a state machine that has one owner | [`Tokens`] |
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
