//! The numbers of one `fit`: a trainer may train more than once, and each report covers one `fit`.

use std::time::Duration;

use crate::hook_host::TrainingView;
use crate::report::{ReplicaOutcome, ReplicaReport};
use crate::runtime::{ReplicaLog, Shared};
use crate::store::Totals;
use crate::{Report, Scalar};
use engine::{ReplicaId, StopReason, Tally};

/// The counts before a `fit`.
pub(super) struct Counted {
    totals: Totals,
    pub(super) tallies: Vec<Tally>,
    logs: Vec<ReplicaLog>,
}

impl Counted {
    pub(super) fn now<T: Scalar>(shared: &Shared<T>) -> Self {
        let core = shared.core();
        let tally = |index| core.engine.tally(ReplicaId::new(index as u64)).unwrap_or_default();
        Self {
            totals: core.totals,
            tallies: (0..core.slots.len()).map(tally).collect(),
            logs: core.slots.iter().map(|slot| slot.log.clone()).collect(),
        }
    }

    /// The counts since then. An accepted gradient is one that an update has used.
    // P-8
    pub(super) fn report<T: Scalar>(
        &self,
        shared: &Shared<T>,
        first_step: i64,
        elapsed: Duration,
        outcomes: Vec<ReplicaOutcome>,
    ) -> Report {
        let global_step = shared.snapshot().global_step.get();
        let core = shared.core();
        let stopped = match core.engine.stopped() {
            Some(StopReason::Requested(reason) | StopReason::Failed(reason)) => reason.clone(),
            None => String::new(),
        };
        let unused = core.unused();
        let replicas: Vec<ReplicaReport> = outcomes
            .into_iter()
            .enumerate()
            .map(|(index, outcome)| {
                let (replica, log) = (ReplicaId::new(index as u64), &core.slots[index].log);
                let mut tally = core.engine.tally(replica).unwrap_or_default();
                tally = tally.since(&self.tallies[index]);
                let own = unused.replicas.iter().filter(|&&it| it == replica).count() as u64;
                tally.accepted = tally.accepted.saturating_sub(own);
                ReplicaReport {
                    replica,
                    batches: log.batches.saturating_sub(self.logs[index].batches),
                    tally,
                    unused: own,
                    waited: log.waited.saturating_sub(self.logs[index].waited),
                    computed: log.computed.saturating_sub(self.logs[index].computed),
                    outcome,
                }
            })
            .collect();
        let (now, before) = (core.totals, self.totals);
        Report {
            updates: global_step.saturating_sub(first_step).unsigned_abs(),
            global_step,
            batches: now.batches - before.batches,
            // It stands at the largest number once it has come there.
            examples: (now.examples - before.examples).saturating_sub(unused.examples),
            accepted: (now.accepted - before.accepted).saturating_sub(unused.replicas.len() as u64),
            stale: now.stale - before.stale,
            duplicates: now.duplicates - before.duplicates,
            elapsed,
            stopped,
            replicas,
        }
    }
}
