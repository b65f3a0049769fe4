//! Replicas that fail while `fit` runs: each is reported at once, and too many end the training.
//!
//! Only those that fail are counted: a replica whose data ended has done its part (P-6).

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::FitError;
use crate::Scalar;
use crate::record::Failure;
use crate::report::ReplicaOutcome;
use crate::runtime::Shared;
use engine::{FailingBatch, FailureCounts, Generation, Incarnation, ReplicaId, StopReason};

/// The failures of one `fit`.
pub(super) struct Failures<'a, T: Scalar> {
    shared: &'a Shared<T>,
    generation: Generation,
    total: usize,
    min_replicas: usize,
    so_far: Mutex<SoFar>,
}

/// One replica, whose failure is reported once.
pub(super) struct Watched<'a, T: Scalar> {
    failures: &'a Failures<'a, T>,
    replica: ReplicaId,
    life: Cell<Incarnation>,
    batch: Cell<Option<u64>>,
    told: Cell<bool>,
}

impl<T: Scalar> Watched<'_, T> {
    /// The life in which it computes.
    pub(super) fn joined(&self, life: Incarnation) {
        self.life.set(life);
    }

    /// What it holds from now on.
    pub(super) fn at(&self, batch: Option<u64>) {
        self.batch.set(batch);
    }

    /// How it ended; the first time counts.
    pub(super) fn ended(&self, outcome: &ReplicaOutcome) {
        if !self.told.replace(true) {
            self.failures.heed(self.replica, self.life.get(), outcome, self.batch.get());
        }
    }
}

#[derive(Default)]
struct SoFar {
    failed: Vec<Failed>,
    failure_counts: FailureCounts,
    /// Why these failures, before any other reason, ended the training.
    ended: Option<Cause>,
}

struct Failed {
    replica: ReplicaId,
    /// What it was doing.
    batch: Option<u64>,
    reason: String,
}

#[derive(Clone, Copy)]
enum Cause {
    TooFew,
    Batch(u64),
}

impl<'a, T: Scalar> Failures<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, generation: Generation, min_replicas: usize) -> Self {
        let total = shared.core().config().total_num_replicas();
        Self { shared, generation, total, min_replicas, so_far: Mutex::default() }
    }

    /// For the thread of one replica.
    pub(super) fn watch(&'a self, replica: ReplicaId) -> Watched<'a, T> {
        let (life, batch, told) = (Cell::default(), Cell::default(), Cell::default());
        Watched { failures: self, replica, life, batch, told }
    }

    /// A replica has ended in this way, perhaps at this batch. If it failed, and too few are left
    /// or too many have failed at the batch, training ends with it, or goes on without the batch.
    fn heed(
        &self,
        replica: ReplicaId,
        life: Incarnation,
        outcome: &ReplicaOutcome,
        batch: Option<u64>,
    ) {
        let Some(reason) = outcome.failure() else { return };
        let (left, deadly) = {
            let mut so_far = self.so_far();
            so_far.failed.push(Failed { replica, batch, reason: reason.to_owned() });
            let deadly = batch.filter(|&batch| so_far.failure_counts.failed(batch));
            (self.total - so_far.failed.len(), deadly)
        };
        tracing::warn!(%replica, reason, batch, left, "a replica failed and left");
        if let Some(record) = &self.shared.record {
            record.add_failure(Failure { replica, reason: reason.to_owned() });
        }
        let deadly = deadly.filter(|&batch| !self.leaves_out(replica, life, batch));
        let too_few = (left < self.min_replicas).then_some(Cause::TooFew);
        let Some(cause) = deadly.map(Cause::Batch).or(too_few) else { return };
        let reason = StopReason::Failed(self.error(cause).to_string());
        if self.shared.stop_generation(self.generation, reason) {
            self.so_far().ended = Some(cause);
        }
    }

    /// By choice, leaves out the batch that made several fail.
    fn leaves_out(&self, replica: ReplicaId, life: Incarnation, batch: u64) -> bool {
        if self.shared.core().config().settings().failing_batch != FailingBatch::Skip {
            return false;
        }
        // Refused where it has left: it failed at its push, which was the wrong one.
        let left_out = self.shared.event(|core, _, effects| {
            let same = core.engine.generation() == self.generation;
            same.then(|| core.engine.leave_batch_out(replica, life, effects))
        });
        if left_out == Some(Ok(true)) {
            tracing::warn!(
                batch,
                "a batch made {} replicas fail; it is left out",
                FailureCounts::LIMIT
            );
        }
        matches!(left_out, Some(Ok(_)))
    }

    /// Why training ended, if failures ended it.
    pub(super) fn verdict(&self) -> Result<(), FitError> {
        let ended = self.so_far().ended;
        ended.map_or(Ok(()), |cause| Err(self.error(cause)))
    }

    fn error(&self, cause: Cause) -> FitError {
        let so_far = self.so_far();
        let of_cause = so_far.failed.iter().filter(|it| match cause {
            Cause::TooFew => true,
            Cause::Batch(number) => it.batch == Some(number),
        });
        let mut failed: Vec<_> = of_cause.map(|it| (it.replica, it.reason.clone())).collect();
        failed.sort();
        let (total, min_replicas) = (self.total, self.min_replicas);
        match cause {
            Cause::TooFew => FitError::TooFewReplicas { total, min_replicas, failed },
            Cause::Batch(number) => FitError::Batch { number, failed },
        }
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
