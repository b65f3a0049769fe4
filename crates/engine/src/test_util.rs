//! Property tests of the engine: a plain model, histories for it, and a test that runs both.
//!
//! Not for production: it is behind the feature `test-util`, needs proptest, and panics where the
//! engine differs from the model. Invariant: the model shares no rule's code with the engine; only
//! which share a replica gets is read from the engine's answers, and not predicted.
//!
//! The promises that the engine's tests are about, and where the rest is tested: no stale gradient
//! contributes (S-1), a step has at least A contributions (S-2; the division is accum-core's), all
//! updates, then the step, then its tokens (S-3), tokens are conserved (S-4), the step only grows
//! but for a restore (S-5), a push counts once (S-6), the same events give the same effects (S-8),
//! the step advances when all are well (L-1), with leases while one lives (L-2), a stop ends all
//! waits (L-3). That a checkpoint is read whole or not at all (S-7) is tested with files, in
//! `tests/it/checkpoints.rs`.
//!
//! # Examples
//! A short history, event by event, beside the model:
//!
//! ```
//! use engine::Settings;
//! use engine::test_util::{Event, Run, Setup, Sent};
//!
//! let setup = Setup { settings: Settings::new(2), variables: 1, first_step: 0 };
//! let mut run = Run::new(&setup);
//! let push = |replica| Event::Push { replica, age: 0, lanes: None, sent: Sent::New };
//! for event in [Event::Start, Event::Join(0), Event::Join(1), push(0), push(1), Event::Apply(0)] {
//!     run.event(&event); // panics at the first difference
//! }
//! assert_eq!(run.engine().global_step().get(), 1);
//! run.finish(); // and it goes on from there
//! ```

mod against;
mod events;
mod model;
mod numbers;
mod tokens;
mod views;

pub use against::{EngineTest, Run};
pub use events::{Event, Histories, Sent, Setup, any_settings, event};
pub use model::EngineModel;

/// The crate that the generators are made with, in the version that fits.
pub use proptest;
/// The crate that runs a model beside the real thing, in the version that fits.
pub use proptest_state_machine;
