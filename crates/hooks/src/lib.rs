//! Session life cycle: hooks, a monitored session, a coordinator, and the usual hooks.

mod coordinator;
mod error;
mod event;
mod hook;
mod hooks;
mod monitored;
mod session;
mod start;

pub use coordinator::{Coordinator, JoinError, OnStop, Registration, Reported, ThreadPanicked};
pub use error::{BoxError, SharedError};
pub use event::{Readiness, StepWatch};
pub use hook::{Hook, HookCall, HookError, RunContext};
pub use hooks::{
    CheckpointSaver, Clock, FinalOp, FinalValue, Logging, NanGuard, NanLoss, NegativeSteps, Rate,
    Saver, StepCounter, StopAtStep, SummarySaver, SummaryWriter, SystemClock, WaitForGlobalStep,
    ZeroInterval,
};
pub use monitored::{Builder, MonitoredSession, SessionError};
pub use session::{RunError, Session, StepReport};
pub use start::{Checkpoint, SessionManager, StartError};
