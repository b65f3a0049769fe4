//! Property tests of staleness: a plain model, histories for it, and a way to run both.
//!
//! Not for production: it is behind the feature `test-util`, needs proptest, and panics where an
//! accumulator differs from the model. Invariant: the model shares no code with the accumulators.
//!
//! [`StalenessModel`] says what must come of every [`Act`]: who is accepted, what a take gives, and
//! which waiting take wakes. [`DenseHistories`] and [`SparseHistories`] draw the acts: gradients
//! that are fresh, stale or from the future, of fitting and other shapes; takes that wait, are
//! given up, or are dropped with an unread answer; steps set forwards and backwards.
//! [`Against`] runs whatever implements [`Subject`] beside the model.
//!
//! # Examples
//! A wrapper that counts what it dropped. Does it still keep every rule?
//!
//! ```
//! use accum_core::test_util::proptest_state_machine::prop_state_machine;
//! use accum_core::test_util::{Against, DenseHistories, Pushed, Rows, Subject, Take};
//! use accum_core::{Applied, ApplyError, ConditionalAccumulator, TakeError, Taken};
//!
//! struct Counting {
//!     inner: ConditionalAccumulator<f64>,
//!     dropped: u64,
//! }
//!
//! impl Subject for Counting {
//!     type Histories = DenseHistories;
//!
//!     fn new() -> Self {
//!         Self { inner: Subject::new(), dropped: 0 }
//!     }
//!
//!     fn push(&mut self, gradient: &Pushed, local_step: i64) -> Result<Applied, ApplyError> {
//!         let applied = self.inner.push(gradient, local_step)?;
//!         self.dropped += u64::from(!applied.is_accepted());
//!         Ok(applied)
//!     }
//!
//!     fn take(&mut self, required: i64) -> Take {
//!         self.inner.take(required)
//!     }
//!
//!     fn try_take(&mut self, required: i64) -> Result<Option<Taken<Rows>>, TakeError> {
//!         self.inner.try_take(required)
//!     }
//!
//!     fn set_step(&mut self, step: i64) -> i64 {
//!         self.inner.set_step(step)
//!     }
//!
//!     fn step(&self) -> i64 {
//!         self.inner.step()
//!     }
//!
//!     fn count(&self) -> u64 {
//!         self.inner.count()
//!     }
//!
//!     fn close(&mut self) {
//!         self.inner.close();
//!     }
//!
//!     fn is_closed(&self) -> bool {
//!         self.inner.is_closed()
//!     }
//! }
//!
//! # use accum_core::test_util::proptest;
//! prop_state_machine! {
//!     // In a test file, with `#[test]` here.
//!     fn counting_keeps_the_rules(sequential 1..40 => Against<Counting>);
//! }
//! # fn main() { counting_keeps_the_rules() }
//! ```

mod acts;
mod against;
mod histories;
mod model;
mod subject;

pub use acts::{Act, Kind, Pushed, WIDTH, act};
pub use against::{Against, Run};
pub use histories::{DenseHistories, SparseHistories};
pub use model::{Answer, Given, StalenessModel};
pub use subject::{Rows, Subject, Take};

/// The crate that the generators are made with, in the version that fits.
pub use proptest;
/// The crate that runs a model beside the real thing, in the version that fits.
pub use proptest_state_machine;
