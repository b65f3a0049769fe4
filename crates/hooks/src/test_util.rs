//! Property tests of a session's life: a plain model, histories for it, and a test that runs both.
//!
//! Not for production: it is behind the feature `test-util`, needs proptest, and panics where a
//! monitored session differs from the model. Invariant: the model shares no code with the session.
//!
//! Every call that a life makes (creating, a step, each hook at each point) does the next of the
//! deeds drawn for it: it goes well, loses the session, fails, or stops the run. Between the steps
//! others ask for a stop, or report errors. Which calls come in which order, how a run ends and
//! which error is kept must be the model's (R-30, R-31).
//!
//! # Examples
//! ```
//! use hooks::test_util::{Act, Deed, LifeModel};
//!
//! let mut life = LifeModel::new(1, &[]);
//! // The first hook loses the session before the step; the step is tried again in a new one.
//! life.apply(&Act::Run(vec![Deed::Lose]));
//! let calls = "a.before_run close create a.after_create_session b.after_create_session \
//!              a.before_run b.before_run run a.after_run b.after_run";
//! assert_eq!(life.calls().join(" "), calls);
//! ```

mod against;
mod model;

pub use against::{LifeTest, Run};
pub use model::{Act, Answer, Deed, LifeModel, Lives};

/// The crate that the generators are made with, in the version that fits.
pub use proptest;
/// The crate that runs a model beside the real thing, in the version that fits.
pub use proptest_state_machine;
