//! Replicas that fail while `fit` runs: each is told of at once, and too many end the training.
//!
//! Only those that fail are counted: a replica whose data ended has done its part (P-6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::FitError;
use crate::runtime::Shared;
use crate::{ReplicaOutcome, Scalar};
use engine::{Generation, ReplicaId, StopReason};

/// The failures of one `fit`.
pub(super) struct Failures<'a, T: Scalar> {
    shared: &'a Shared<T>,
    generation: Generation,
    total: usize,
    min_replicas: usize,
    failed: Mutex<Vec<(ReplicaId, String)>>,
    /// Whether they, and nothing before them, ended the training.
    ended: AtomicBool,
}

impl<'a, T: Scalar> Failures<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, generation: Generation, min_replicas: usize) -> Self {
        let total = shared.core().config().total_num_replicas();
        let (failed, ended) = (Mutex::default(), AtomicBool::new(false));
        Self { shared, generation, total, min_replicas, failed, ended }
    }

    /// A replica has ended in this way. If it failed, and too few are left, training ends with it.
    pub(super) fn heed(&self, replica: ReplicaId, outcome: &ReplicaOutcome) {
        let Some(reason) = outcome.failure() else { return };
        let left = {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push((replica, reason.to_owned()));
            self.total - failed.len()
        };
        tracing::warn!(%replica, reason, left, "a replica failed and left");
        if left < self.min_replicas {
            let reason = StopReason::Failed(self.error().to_string());
            if self.shared.stop_generation(self.generation, reason) {
                self.ended.store(true, Ordering::Release);
            }
        }
    }

    /// Why training ended, if it was for them.
    pub(super) fn verdict(&self) -> Result<(), FitError> {
        if self.ended.load(Ordering::Acquire) { Err(self.error()) } else { Ok(()) }
    }

    fn error(&self) -> FitError {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.sort();
        let (total, min_replicas) = (self.total, self.min_replicas);
        FitError::TooFewReplicas { total, min_replicas, failed }
    }
}
