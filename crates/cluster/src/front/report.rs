//! What a process of a cluster reports at its end, and why it may have failed.

use std::time::Duration;

use sync_replicas::driver::Generation;
use sync_replicas::error::{BuildError, LookupError};
use sync_replicas::record::{ReplicaReport, Totals};
use sync_replicas::{GlobalStep, Scalar, Variables};

use crate::client::WaitError;
use crate::definition::DefinitionError;
use crate::exit::Exit;
use crate::server::ServeError;
use crate::shard::ShardError;
use crate::spec::{SpecError, Task};

/// What a process did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterReport<T: Scalar> {
    /// Its role and number.
    pub task: Task,
    /// Updates at the end.
    pub global_step: GlobalStep,
    /// Where all replicas are known, the update that training began with, or went on from, when
    /// parameter server 0 last started: counts and times are of what came after; otherwise 0.
    pub first_step: GlobalStep,
    /// Why training ended.
    pub stopped: String,
    /// How long this process took part; where all replicas are known, how long training took.
    pub elapsed: Duration,
    /// What a replica did; zeros for a parameter server.
    pub counts: Counts,
    /// The training's counters: at its end where all replicas are known, otherwise at the last step
    /// that the chief's hooks saw; zeros elsewhere.
    pub totals: Totals,
    /// The last life of the shared state that it was in.
    pub generation: Generation,
    /// What each replica did: in parameter server 0, and in the chief of a recorded training
    /// ([`SyncReplicas::record`](sync_replicas::SyncReplicas::record)).
    pub replicas: Vec<ReplicaReport>,
    /// Whether this process left since [`ProcessHandle::leave`](crate::ProcessHandle::leave) asked
    /// it to.
    pub left: bool,
    /// The variables at the end, as far as this replica could fetch them.
    pub variables: Option<Variables<T>>,
}

impl<T: Scalar> ClusterReport<T> {
    /// The same for a process without variables, of any type.
    pub(super) fn without_variables<U: Scalar>(self) -> ClusterReport<U> {
        let Self { task, global_step, first_step, stopped, elapsed, counts, .. } = self;
        let Self { totals, generation, replicas, left, .. } = self;
        ClusterReport {
            task,
            global_step,
            first_step,
            stopped,
            elapsed,
            counts,
            totals,
            generation,
            replicas,
            left,
            variables: None,
        }
    }
}

/// What one replica did.
// P-7
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Its gradients that became part of a step.
    pub accepted: u64,
    /// Those dropped because their step was over.
    pub stale: u64,
    /// Those dropped because another replica was first with the share.
    pub duplicates: u64,
    /// Batches given up because they were superseded.
    pub superseded: u64,
    /// Batches left out because their gradients are infinite or NaN.
    // P-25
    pub non_finite: u64,
    /// Pushes whose fate is unknown, since the replica had to join anew meanwhile.
    pub lost: u64,
    /// How long it waited for tokens and variables.
    pub waited: Duration,
}

/// Why a process of a cluster failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The description does not fit.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The place in the cluster is invalid.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// N is not the number of workers.
    #[error(
        "the program expects {expected} replicas (total_num_replicas), but the cluster has {got} \
         workers, the chief included; make the two the same"
    )]
    Replicas {
        /// N.
        expected: u64,
        /// Workers and chief.
        got: u64,
    },
    /// The address to listen on needs protection.
    #[error(transparent)]
    Bind(#[from] crate::security::BindError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] crate::security::TlsError),
    /// An address that cannot be looked up.
    #[error("{address}: {reason}")]
    Address {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// No threads or no timers.
    #[error("the runtime could not start: {0}")]
    Runtime(std::io::Error),
    /// A slot or an average could not be made.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The server failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The wait for a step failed.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// A lookup failed.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A table's rows are too wide for a message.
    #[error("table `{table}`: a row of {got} bytes is too wide, expected at most {most}; split it")]
    WideRows {
        /// The table.
        table: String,
        /// The bytes of a row.
        got: usize,
        /// The largest allowed.
        most: usize,
    },
    /// The model failed; the replica left, and the others went on.
    #[error("the model failed: {0}")]
    Model(String),
    /// A push was refused.
    #[error(transparent)]
    Push(crate::client::PushError),
    /// A hook failed; training was ended.
    #[error(transparent)]
    Hook(#[from] hooks::SessionError),
    /// A program that this server cannot serve.
    #[error(transparent)]
    Program(#[from] DefinitionError),
    /// An evaluator has no part in training.
    #[error(
        "an evaluator has no part in training; evaluate the checkpoints, or in a hook of the chief"
    )]
    Evaluator,
    /// A parameter server has no replica.
    #[error(
        "{task} is a parameter server and computes nothing; call `run_server` there, and ask for \
         a replica in a worker or the chief"
    )]
    NoReplica {
        /// This process.
        task: Task,
    },
    /// Only a parameter server serves.
    #[error("{task} is no parameter server, so it cannot serve; ask for its `replica`, or `fit`")]
    NoServer {
        /// This process.
        task: Task,
    },
    /// The step's token was given back before the push.
    #[error(
        "this step is over: its token was given back when its replica asked for the next step, \
         or ended; push before that"
    )]
    StepOver,
}

impl ClusterError {
    /// What to tell the scheduler.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Build(_)
            | Self::Spec(_)
            | Self::Replicas { .. }
            | Self::Bind(_)
            | Self::Tls(_)
            | Self::Evaluator
            | Self::NoReplica { .. }
            | Self::Program(_)
            | Self::NoServer { .. } => Exit::Usage,
            Self::Serve(ServeError::Replaced { .. }) | Self::Wait(WaitError::Replaced { .. }) => {
                Exit::Replaced
            }
            Self::Wait(
                WaitError::Unreachable { .. }
                | WaitError::NotLetIn { .. }
                | WaitError::Overdue { .. },
            )
            | Self::Address { .. }
            | Self::Serve(
                ServeError::Transport(_)
                | ServeError::Abandoned { .. }
                | ServeError::Unsaved { .. },
            ) => Exit::Restart,
            _ => Exit::Failed,
        }
    }
}
