//! Decisions on contributions that shards have not heard yet: they leave in batches, so that what
//! the coordinator sends in a step does not grow with replicas times servers (P-22).
//!
//! Invariant: shards hear all decisions in order, before the update that they are for, and no
//! replica waits for a word that waits for others: each is owed one at most.

use super::{Contribution, Coordinator, Decision, ReplicaRecord};
use crate::command::MOST_WHOLE;

/// How many decisions leave at once, of `needed` contributions to a step, where `spare`
/// contributions may be held up by a decision that has not left: eight batches a step, so that
/// shards add while others still arrive.
#[must_use]
pub fn batch_size(needed: usize, spare: usize) -> usize {
    needed.div_ceil(8).min(spare).max(1)
}

/// Decisions on their way out.
#[derive(Debug)]
pub(super) struct Decisions {
    decided: Vec<Decision>,
    /// How many leave together.
    batch: usize,
    /// A replica waits for one of them.
    urgent: bool,
}

impl Decisions {
    pub(super) fn new(batch: usize) -> Self {
        Self { decided: Vec::new(), batch: batch.max(1), urgent: false }
    }

    fn is_due(&self) -> bool {
        self.urgent || self.decided.len() >= self.batch
    }

    /// They concern an earlier life of the shared state.
    pub(super) fn forget(&mut self) {
        (self.decided, self.urgent) = (Vec::new(), false);
    }
}

impl ReplicaRecord {
    /// Shards may hold one more whole piece of its work, without having heard its fate. Whether
    /// they take no more until they hear (P-27).
    pub(super) fn owe(&mut self) -> bool {
        self.owed += 1;
        self.owed >= MOST_WHOLE
    }
}

impl Coordinator {
    /// A contribution was decided on; the decision leaves with others.
    pub(super) fn decide(&mut self, decision: Decision) {
        let index = self.index(decision.contribution().replica);
        let record = index.and_then(|index| self.records.get_mut(index));
        self.decisions.urgent |= record.is_some_and(ReplicaRecord::owe);
        self.decisions.decided.push(decision);
    }

    /// A contribution and its replica's earlier ones are void, and others wait for the room that
    /// they take.
    pub(super) fn discard_now(&mut self, contribution: Contribution) {
        self.decisions.decided.push(Decision::Discard(contribution));
        self.decisions.urgent = true;
    }

    /// The decisions that leave now, if there are any that should.
    pub(super) fn due_decisions(&mut self) -> Option<Vec<Decision>> {
        let due = !self.decisions.decided.is_empty() && self.decisions.is_due();
        due.then(|| self.hand_out_decisions())
    }

    /// All decisions that have not left.
    pub(super) fn hand_out_decisions(&mut self) -> Vec<Decision> {
        self.decisions.urgent = false;
        let decided = std::mem::take(&mut self.decisions.decided);
        for contribution in decided.iter().map(Decision::contribution) {
            let index = self.index(contribution.replica);
            if let Some(record) = index.map(|index| &mut self.records[index])
                && record.incarnation == contribution.incarnation
            {
                record.owed = 0;
            }
        }
        decided
    }
}
