//! What a record keeps one by one: updates, checkpoints, failures, and stretches of time.

use std::time::Duration;

use engine::{Outcome, ReplicaId};
use serde::{Deserialize, Serialize};

/// One update.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateMade {
    /// The global step that it made.
    pub step: i64,
    /// The mean loss of its gradients, before the update.
    pub loss: Option<f64>,
    /// Examples in its gradients.
    pub examples: u64,
    /// When it was made, on the clock of the spans.
    pub at: Duration,
}

/// One stretch of a replica's time.
///
/// A wait ends, and computing begins, when the token is given: a replica that fetches it late is
/// slow, and does not wait. Measured once a step, at the push, since a clock costs as much as a
/// lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The replica.
    pub replica: ReplicaId,
    /// The step that it claimed (after a wait: claims next).
    pub step: i64,
    /// The number of the batch, where it is known.
    pub batch: Option<u64>,
    /// What it did, and for computed batches the outcome.
    pub kind: SpanKind,
    /// Since training began.
    pub start: Duration,
    /// Since training began.
    pub end: Duration,
    /// Bytes sent to other processes or received from them meanwhile: variables during a wait, rows
    /// during a lookup, gradients while they were sent.
    pub bytes: u64,
    /// By how many steps the gradient came too late, if it was dropped for that.
    pub staleness: u64,
}

/// What a replica did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpanKind {
    /// It waited for a token.
    Waited,
    /// It computed a batch whose gradient became part of the step.
    Accepted,
    /// It computed a batch whose gradient was dropped as stale.
    Stale,
    /// It computed a share that another replica was first with.
    Duplicate,
    /// It computed a batch whose gradient is infinite or NaN, and was left out.
    NotFinite,
    /// It began a batch and gave it up, since the step was over.
    Superseded,
    /// It sent a batch's gradient to the servers of its cluster.
    Sent,
    /// It looked rows up in the servers' tables. Part of the time that it computed, from its
    /// beginning.
    LookedUp,
}

impl SpanKind {
    /// The kind of a push with this outcome, and by how many steps it came too late.
    #[must_use]
    pub fn of_push(outcome: &Outcome) -> (Self, u64) {
        match outcome {
            Outcome::Stale { local_step, global_step } => {
                (Self::Stale, (global_step.get() - local_step.get()).unsigned_abs())
            }
            Outcome::Duplicate { .. } => (Self::Duplicate, 0),
            Outcome::NotFinite => (Self::NotFinite, 0),
            _ => (Self::Accepted, 0),
        }
    }

    /// Its name, as it is serialized.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::Accepted => "accepted",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::NotFinite => "not_finite",
            Self::Superseded => "superseded",
            Self::Sent => "sent",
            Self::LookedUp => "looked_up",
        }
    }

    /// Whether it is a batch that was computed, or begun.
    #[must_use]
    pub fn is_batch(self) -> bool {
        !matches!(self, Self::Waited | Self::Sent | Self::LookedUp)
    }
}

impl Span {
    /// A span of a replica, with nothing else known of it.
    #[must_use]
    pub fn new(
        replica: ReplicaId,
        step: i64,
        kind: SpanKind,
        (start, end): (Duration, Duration),
    ) -> Self {
        Self { replica, step, batch: None, kind, start, end, bytes: 0, staleness: 0 }
    }

    /// Its duration.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// The time that a server took to update its variables for a step.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateSpan {
    /// Which server; in one process there is number 0, the chief.
    pub server: u64,
    /// The step that the update made, or was a part of.
    pub step: i64,
    /// Since training began.
    pub start: Duration,
    /// Since training began.
    pub end: Duration,
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Its global step.
    pub step: i64,
    /// When it was complete, since training began.
    pub at: Duration,
    /// How long it took, from asking for the state to the name in the folder.
    pub took: Duration,
    /// How large it is, with the rows of its tables.
    pub bytes: u64,
}

/// A checkpoint that was not written; training went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedSave {
    /// The global step that it would have been of.
    pub step: i64,
    /// The reason.
    pub reason: String,
}

/// A replica that failed, and left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which one.
    pub replica: ReplicaId,
    /// The reason, in its words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_as_it_is_serialized() {
        use SpanKind::{Accepted, Duplicate, LookedUp, NotFinite, Sent, Stale, Superseded, Waited};
        for kind in [Accepted, Duplicate, LookedUp, NotFinite, Sent, Stale, Superseded, Waited] {
            let written = serde_json::to_value(kind).expect("plain data");
            assert_eq!(written, kind.name());
        }
    }
}
