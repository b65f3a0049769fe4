//! TensorFlow's `SyncReplicasOptimizer` and its parts under their own names, for separate calls.
//!
//! For users who come from it, and for comparison. It uses the `reference` preset; new code uses
//! [`SyncReplicas`](crate::SyncReplicas), where nothing can be forgotten.
//!
//! The order is the original's: wrap an optimizer, `apply_gradients` once, then for every replica a
//! session with the hook. The chief's session starts the chief's runner.
//!
//! # Examples
//! One replica, which is the chief; `w` falls by 2 x 0.1 at each step.
//! ```
//! use hooks::{MonitoredSession, RunError, StopAtStep};
//! use ndarray::array;
//! use optim::Sgd;
//! use sync_replicas::tensorflow::SyncReplicasOptimizer;
//! use sync_replicas::store::GradientKind;
//! use sync_replicas::{GlobalStep, Gradients, ReplicaId, Variables};
//!
//! let mut optimizer = SyncReplicasOptimizer::new(Sgd::new(2.0), 1, None)?;
//! let variables = Variables::new().with("w", array![0.0_f64])?;
//! let gradients = [("w", GradientKind::Dense)];
//! let train_op = optimizer.apply_gradients(&gradients, variables, Some(GlobalStep::new(0)))?;
//! train_op.initialize();
//! let hook = optimizer.make_session_run_hook(true, Some(0));
//! let session = train_op.session(ReplicaId::new(0), |_, _| {
//!     Ok(Gradients::new().dense("w", array![0.1]))
//! });
//! let mut sessions = Some(session).into_iter();
//! MonitoredSession::builder(move |_| sessions.next().ok_or(RunError::Stopped))
//!     .hook(hook)
//!     .hook(StopAtStep::last_step(3))
//!     .start()?
//!     .run_until_stopped()?;
//! assert!((train_op.trainer().snapshot().variables.vector("w")?[0] + 0.6).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod hook;
mod optimizer;
mod runner;
mod session;

pub use crate::store::GradientKind;
pub use hook::{HookStateError, SyncReplicasHook};
pub use optimizer::{ApplyGradientsError, InitTokensError, SyncReplicasOptimizer};
pub use runner::ChiefQueueRunner;
pub use session::{NotApplied, ReplicaSession, TrainOp};
