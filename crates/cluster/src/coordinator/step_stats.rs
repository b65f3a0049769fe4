//! The counts: batches, examples, losses of the open step (P-8).

use sync_replicas::checkpoint::Tested;
use sync_replicas::driver::Generation;
use sync_replicas::engine::Outcome;
use sync_replicas::store::{StepContributions, Totals};
use sync_replicas::{GlobalStep, ReplicaId};

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
    /// All counters at that time.
    pub totals: Totals,
}

#[derive(Clone, Debug, Default)]
pub(super) struct StepStats {
    totals: Totals,
    open: StepContributions,
    /// The closed round whose step is not made yet.
    closed: StepContributions,
    /// Examples of contributions that no update has used, in generations that are over.
    unused_examples: u64,
    /// What the losses tell of the variables' steps (P-25).
    tested: Tested,
}

impl StepStats {
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn push(
        &mut self,
        outcome: &Outcome,
        contributor: (u64, ReplicaId),
        step: i64,
        loss: Option<f64>,
        examples: u64,
    ) {
        self.totals.count(outcome, examples);
        if outcome.is_accepted() {
            self.open.add(contributor.0, contributor.1, loss, examples);
            if let Some(loss) = loss {
                self.tested.loss(step, loss.is_finite());
            }
        }
    }

    /// The first lane of a step closed: later contributions belong to the next.
    pub(super) fn close(&mut self) {
        self.closed = std::mem::take(&mut self.open);
    }

    pub(super) fn made(&mut self, generation: Generation, global_step: GlobalStep) -> StepMade {
        let round = std::mem::take(&mut self.closed);
        StepMade {
            generation,
            global_step,
            loss: round.mean_loss(),
            gradients: round.contributors().len() as u64,
            examples: round.examples(),
            totals: self.totals,
        }
    }

    /// The replicas with accepted contributions that no update has used: those of steps not made.
    pub(super) fn unused(&self) -> impl Iterator<Item = ReplicaId> {
        [&self.open, &self.closed].into_iter().flat_map(StepContributions::replicas)
    }

    /// The examples of those, in all generations.
    pub(super) fn unused_examples(&self) -> u64 {
        let now = self.open.examples().saturating_add(self.closed.examples());
        self.unused_examples.saturating_add(now)
    }

    /// The mean loss of the closed step, if it is NaN or infinite.
    pub(super) fn bad_loss(&self) -> Option<f64> {
        self.closed.mean_loss().filter(|loss| !loss.is_finite())
    }

    pub(super) fn tested(&self) -> Tested {
        self.tested
    }

    /// A generation begins from a saved state.
    pub(super) fn forget_round(&mut self) {
        self.unused_examples = self.unused_examples();
        (self.open, self.closed) = (StepContributions::default(), StepContributions::default());
        self.tested = Tested::default();
    }
}
