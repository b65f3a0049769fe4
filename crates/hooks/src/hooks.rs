//! The hooks that most runs want, one file each.
//!
//! None of them knows what a session computes: they see its step, its report, and their own
//! settings.

mod clock;
mod every;

mod checkpoint_saver;
mod final_op;
mod logging;
mod nan_guard;
mod step_counter;
mod stop_at_step;
mod summary_saver;
mod wait_for_global_step;

pub use self::checkpoint_saver::{CheckpointSaver, Saver};
pub use self::clock::{Clock, SystemClock};
pub use self::every::ZeroInterval;
pub use self::final_op::{FinalOp, FinalValue};
pub use self::logging::Logging;
pub use self::nan_guard::{NanGuard, NanLoss};
pub use self::step_counter::{Rate, StepCounter};
pub use self::stop_at_step::{NegativeSteps, StopAtStep};
pub use self::summary_saver::SummarySaver;
pub use self::wait_for_global_step::WaitForGlobalStep;
