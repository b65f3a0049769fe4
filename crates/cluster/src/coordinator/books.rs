//! What is counted: batches, examples, losses of the open step (P-8).

use serde::{Deserialize, Serialize};
use sync_replicas::checkpoint::Tested;
use sync_replicas::engine::Outcome;
use sync_replicas::{Generation, GlobalStep, ReplicaId};

/// The counters of a training, by their names (P-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Batches pushed.
    pub batches: u64,
    /// Examples in accepted batches.
    pub examples: u64,
    /// Batches that became part of a step.
    pub accepted: u64,
    /// Batches dropped as stale.
    pub stale: u64,
    /// Batches dropped because another replica was first with the share.
    pub duplicates: u64,
}

impl From<Totals> for sync_replicas::Totals {
    fn from(totals: Totals) -> Self {
        let Totals { batches, examples, accepted, stale, .. } = totals;
        Self { batches, examples, accepted, stale }
    }
}

/// A step that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMade {
    /// In which life of the shared state.
    pub generation: Generation,
    /// The new step.
    pub global_step: GlobalStep,
    /// The mean loss of its contributions.
    pub loss: Option<f64>,
    /// How many contributions it has.
    pub gradients: u64,
    /// Their examples.
    pub examples: u64,
    /// All counters as of then.
    pub totals: Totals,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    totals: Totals,
    open: Round,
    /// Rounds that were closed and whose step is not made yet.
    closed: Round,
    /// Examples of contributions that no update has used, in generations that are over.
    unused_examples: u64,
    /// What the losses have told of the variables' steps (P-25).
    tested: Tested,
}

/// What the contributions of one step reported.
#[derive(Clone, Debug, Default)]
struct Round {
    contributors: Vec<ReplicaId>,
    losses: Vec<(u64, f64)>,
    gradients: u64,
    examples: u64,
}

impl Books {
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn push(
        &mut self,
        (replica, outcome): (ReplicaId, &Outcome),
        (key, step): (u64, i64),
        loss: Option<f64>,
        examples: u64,
    ) {
        self.totals.batches += 1;
        match outcome {
            Outcome::Stale { .. } => self.totals.stale += 1,
            Outcome::Duplicate { .. } => self.totals.duplicates += 1,
            _ => {
                self.totals.accepted += 1;
                self.totals.examples = self.totals.examples.saturating_add(examples);
                if let Some(loss) = loss {
                    self.open.losses.push((key, loss));
                    self.tested.loss(step, loss.is_finite());
                }
                self.open.contributors.push(replica);
                self.open.gradients += 1;
                self.open.examples = self.open.examples.saturating_add(examples);
            }
        }
    }

    /// The first lane of a step closed: what comes from now on belongs to the next.
    pub(super) fn close(&mut self) {
        self.closed = std::mem::take(&mut self.open);
    }

    pub(super) fn made(&mut self, generation: Generation, global_step: GlobalStep) -> StepMade {
        let mut round = std::mem::take(&mut self.closed);
        StepMade {
            generation,
            global_step,
            loss: round.mean_loss(),
            gradients: round.gradients,
            examples: round.examples,
            totals: self.totals,
        }
    }

    /// Whose accepted contributions no update has used: those of steps that are not made.
    pub(super) fn unused(&self) -> impl Iterator<Item = ReplicaId> {
        [&self.open, &self.closed].into_iter().flat_map(|round| &round.contributors).copied()
    }

    /// The examples of those, in all generations.
    pub(super) fn unused_examples(&self) -> u64 {
        let now = self.open.examples.saturating_add(self.closed.examples);
        self.unused_examples.saturating_add(now)
    }

    /// The mean loss of the step that has closed, if it is NaN or infinite.
    pub(super) fn bad_loss(&mut self) -> Option<f64> {
        self.closed.mean_loss().filter(|loss| !loss.is_finite())
    }

    pub(super) fn tested(&self) -> Tested {
        self.tested
    }

    /// A generation begins from a saved state.
    pub(super) fn forget_round(&mut self) {
        self.unused_examples = self.unused_examples();
        (self.open, self.closed) = (Round::default(), Round::default());
        self.tested = Tested::default();
    }
}

impl Round {
    /// Added in the order of keys, whatever the order of arrival (P-14).
    fn mean_loss(&mut self) -> Option<f64> {
        self.losses.sort_by_key(|&(key, _)| key);
        let count = self.losses.len();
        let sum: f64 = self.losses.iter().map(|(_, loss)| loss).sum();
        (count > 0).then(|| sum / count as f64)
    }
}
