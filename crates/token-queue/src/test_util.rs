//! Property tests of a token queue: a plain model, histories for it, and a test that runs both.
//!
//! Not for production: it is behind the feature `test-util`, needs proptest, and panics where the
//! queue differs from the model. Invariant: the model shares no code with the queue.
//!
//! [`QueueModel`] moves one token at a time, and says which calls end with what, so who wakes. The
//! acts, [`Op`], put, take, close, poll, cancel, put back and discard. [`Unbounded`] and
//! [`Bounded`] run a [`TokenQueue`](crate::TokenQueue) beside it.
//!
//! # Examples
//! The model alone says what must come of a history, here that a cancelled take loses nothing:
//!
//! ```
//! use token_queue::test_util::{Op, QueueModel};
//!
//! let mut model = QueueModel::new(None);
//! model.apply(&Op::Take { n: 1, up_to: false }); // waits
//! model.apply(&Op::Put { n: 1, same: false }); // is given to it, and not yet looked at
//! assert_eq!((model.size(), model.woken().count()), (0, 1));
//! model.apply(&Op::Drop(0)); // the take is cancelled
//! assert_eq!(model.size(), 1);
//! ```

mod against;
mod histories;
mod model;
mod ops;

pub use against::{Bounded, Run, Unbounded};
pub use histories::{AnyBounded, AnyUnbounded};
pub use model::{Answer, QueueModel, Refusal, Returned};
pub use ops::{Op, op};

/// The crate that the generators are made with, in the version that fits.
pub use proptest;
/// The crate that runs a model beside the real thing, in the version that fits.
pub use proptest_state_machine;
