//! Why a training failed as a whole; the report says what became of each replica.

use hooks::SessionError;

use crate::store::Torn;
use engine::ReplicaId;

/// Why a training failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A hook failed, or an update did.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An update failed.
    #[error("training ended: {reason}")]
    Update {
        /// The failure.
        reason: String,
    },
    /// A loss, a gradient or an update is NaN or infinite. Checkpoints of
    /// [`Hooks::checkpoints`](crate::Hooks::checkpoints) that are not known to be good were set
    /// aside.
    // P-25
    #[error("training ended: {reason}{kept}")]
    NotFinite {
        /// What is not finite.
        reason: String,
        /// Which checkpoint is good, if there are any, and which ones were set aside.
        kept: String,
    },
    /// An earlier update failed half-way.
    #[error(transparent)]
    Torn(#[from] Torn),
    /// A hook panicked before the first update or after the last.
    #[error("a hook panicked: {reason}")]
    Hook {
        /// Its message.
        reason: String,
    },
    /// A checkpoint was restored meanwhile, which began another life of the training.
    #[error("a checkpoint was restored while fit ran; call fit again to go on from it")]
    Restored,
    /// Replicas failed, and fewer than [`min_replicas`](crate::SyncReplicas::min_replicas) were
    /// left.
    // P-5
    #[error("{}", describe_too_few(*total, *min_replicas, failed))]
    TooFewReplicas {
        /// N.
        total: usize,
        /// How many had to be left.
        min_replicas: usize,
        /// Those that failed, by number, and why.
        failed: Vec<(ReplicaId, String)>,
    },
    /// One batch made so many replicas fail that no other is given it: it would fail one after
    /// another until none is left. In replica order only, where a batch is given to another
    /// replica.
    // P-5
    #[error(
        "batch {number} made {} replicas fail, so no other one tries it; mend it or the model, or \
         leave it out: {}", failed.len(), reasons(failed)
    )]
    Batch {
        /// The batch.
        number: u64,
        /// The replicas that failed at it, by number, and why.
        failed: Vec<(ReplicaId, String)>,
    },
    /// Replicas of the caller's own loops are still there.
    #[error("{count} replicas have joined by hand; drop their handles before fit")]
    Busy {
        /// How many.
        count: usize,
    },
    /// Another thread trains it.
    #[error("fit is running on this trainer already; wait for its end")]
    Running,
    /// The chief could not start again.
    #[error(transparent)]
    Config(#[from] engine::ConfigError),
}

fn describe_too_few(total: usize, min: usize, failed: &[(ReplicaId, String)]) -> String {
    let reasons = reasons(failed);
    match total - failed.len().min(total) {
        0 if total == 1 => format!("the only replica failed: {reasons}"),
        0 => format!("all {total} replicas failed: {reasons}"),
        left => format!(
            "{} of {total} replicas failed and {left} are left, but min_replicas is {min}: \
             {reasons}",
            failed.len()
        ),
    }
}

fn reasons(failed: &[(ReplicaId, String)]) -> String {
    let each = failed.iter().map(|(replica, reason)| format!("{replica}: {reason}"));
    each.collect::<Vec<_>>().join("; ")
}
