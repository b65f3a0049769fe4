//! What the contributions of one step reported, and what is counted (P-8).

use std::borrow::Cow;

use engine::{Outcome, ReplicaId};
use serde::{Deserialize, Serialize};

/// The counters of a training, by their names.
// P-8
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Batches pushed: computed to the end, whether accepted or dropped.
    pub batches: u64,
    /// Examples in accepted batches.
    pub examples: u64,
    /// Pushed batches that became part of a step.
    pub accepted: u64,
    /// Pushed batches that were dropped as stale.
    pub stale: u64,
    /// Pushed batches that were dropped because another replica was first with them.
    pub duplicates: u64,
}

/// The accepted contributions of one step, with the keys by which they are summed.
#[derive(Clone, Debug, Default)]
pub struct StepContributions {
    contributors: Vec<(u64, ReplicaId)>,
    losses: Vec<(u64, f64)>,
    examples: u64,
}

impl Totals {
    /// Counts a pushed batch.
    pub fn count(&mut self, outcome: &Outcome, examples: u64) {
        self.batches += 1;
        match outcome {
            Outcome::Stale { .. } => self.stale += 1,
            Outcome::Duplicate { .. } => self.duplicates += 1,
            outcome if outcome.is_accepted() => {
                self.accepted += 1;
                self.examples = self.examples.saturating_add(examples);
            }
            _ => {}
        }
    }
}

impl StepContributions {
    /// One more contribution.
    pub fn add(&mut self, key: u64, replica: ReplicaId, loss: Option<f64>, examples: u64) {
        self.contributors.push((key, replica));
        self.losses.extend(loss.map(|loss| (key, loss)));
        self.examples = self.examples.saturating_add(examples);
    }

    /// The contributors, by their keys.
    #[must_use]
    pub fn contributors(&self) -> &[(u64, ReplicaId)] {
        &self.contributors
    }

    /// The contributors, one for each contribution.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> {
        self.contributors.iter().map(|&(_, replica)| replica)
    }

    /// Their examples.
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Whether one of the losses is finite, if there is one.
    // P-25
    #[must_use]
    pub fn finite_loss(&self) -> Option<bool> {
        let finite = self.losses.iter().any(|(_, loss)| loss.is_finite());
        (!self.losses.is_empty()).then_some(finite)
    }

    /// The mean of the losses, added in order of their keys, whatever the order of arrival.
    // P-14
    #[must_use]
    pub fn mean_loss(&self) -> Option<f64> {
        let mut losses = Cow::Borrowed(&self.losses);
        if !losses.is_sorted_by_key(|&(key, _)| key) {
            losses.to_mut().sort_by_key(|&(key, _)| key);
        }
        let sum: f64 = losses.iter().map(|(_, loss)| loss).sum();
        (!losses.is_empty()).then(|| sum / losses.len() as f64)
    }
}
