//! Session life cycle: hooks, a monitored session, a coordinator, and the usual hooks.
//!
//! A [`Session`] runs one step at a time. A [`MonitoredSession`] drives it: it calls every [`Hook`]
//! at fixed points, creates the session again when it is lost, ends cleanly at the end of the
//! input, and returns the first real error when closed. A [`Coordinator`] is one stop for all
//! threads that serve the run. A [`SessionManager`] brings sessions to life: it restores or
//! initialises on the chief and waits on the others. A [`Tracker`] receives what a run reports;
//! [`TensorBoard`] is one, and [`SummarySaver`] the hook that reports to it.
//!
//! The crate does not know what a step computes: no variables, gradients or tokens. It polls
//! nothing; every wait ends with a stop.
//!
//! | call | when | errors |
//! |---|---|---|
//! | [`Hook::begin`] | once, before any session | nothing is created |
//! | [`Hook::after_create_session`] | after each creation | end the run, or create again |
//! | [`Hook::before_run`] | before each attempt at a step | end the run, or create again |
//! | [`Hook::after_run`] | after each step that succeeded | end the run, or create again |
//! | [`Hook::end`] | once, unless the run failed | returned by the close |
//!
//! # Examples
//! ```
//! use hooks::{
//!     FinalOp, MonitoredSession, NanGuard, RunError, Session, StepReport, StopAtStep,
//! };
//!
//! /// Walks down a parabola.
//! struct Descent {
//!     x: f64,
//!     step: i64,
//! }
//!
//! impl Session for Descent {
//!     fn run(&mut self) -> Result<StepReport, RunError> {
//!         self.x -= 0.25 * 2.0 * self.x;
//!         self.step += 1;
//!         Ok(StepReport::new(self.step).with_loss(self.x * self.x))
//!     }
//!
//!     fn global_step(&self) -> i64 {
//!         self.step
//!     }
//!
//!     fn close(&mut self) {}
//! }
//!
//! let (keep_x, x) = FinalOp::new(|session: &mut Descent| Ok(session.x));
//! let mut session = MonitoredSession::builder(|_| Ok(Descent { x: 8.0, step: 0 }))
//!     .hook(StopAtStep::last_step(3))
//!     .hook(NanGuard::new())
//!     .hook(keep_x)
//!     .start()?;
//! let last = session.run_until_stopped()?;
//! assert_eq!(last.and_then(|report| report.loss), Some(1.0));
//! assert_eq!(x.take(), Some(1.0));
//! # Ok::<(), hooks::SessionError>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | steps with hooks around them | [`MonitoredSession`], over a [`Session`] |
//! | the end at a step, or at a loss that is not finite | [`StopAtStep`], [`NanGuard`] |
//! | reports; rates | [`Logging`]; [`StepCounter`] |
//! | curves | [`SummarySaver`] with a [`Tracker`], such as [`TensorBoard`] |
//! | checkpoints | [`CheckpointSaver`] with a [`Saver`] |
//! | a value at the end | [`FinalOp`] |
//! | a start that waits for others | [`WaitForGlobalStep`] |
//! | a hook of one's own | [`Hook`] |
//! | one stop for many threads | [`Coordinator`] |
//! | a session that is restored, or initialised by the chief | [`SessionManager`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;

mod failure;
mod session;

mod hook;

mod coordinator;

mod monitored;

mod event;

mod running;
mod start;
#[cfg(feature = "test-util")]
pub mod test_util;

mod hooks;

mod tensor_board;
mod tracker;

mod sync;

#[cfg(all(test, loom))]
mod interleavings;

pub use coordinator::{Coordinator, JoinError, OnStop, Registration, Reported, ThreadPanicked};
pub use error::{BoxError, SharedError};
pub use event::{Readiness, StepWatch};
pub use failure::Failure;
pub use hook::{Hook, HookCall, RunContext};
pub use hooks::{
    CheckpointSaver, Clock, FinalOp, FinalValue, Logging, NanGuard, NanLoss, NegativeSteps, Rate,
    Saver, StepCounter, StopAtStep, SummarySaver, SystemClock, WaitForGlobalStep, ZeroInterval,
};
pub use monitored::{Builder, MonitoredSession, SessionError};
pub use running::RunningHook;
pub use session::{RunError, Session, StepReport};
pub use start::{Checkpoint, SessionManager, StartError};
pub use tensor_board::TensorBoard;
pub use tracker::{At, Param, Tracker};

/// Keeps the example of the README compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
