//! A replica's training operation and the session that runs it.
//!
//! One run fetches the variables, computes gradients, pushes all of them with the local step, then
//! takes a token and makes its value the local step. It does not wait for the update itself.

use std::fmt;
use std::sync::Arc;

use accum_core::GlobalStep;
use hooks::{Readiness, RunError, Session, StepReport};

use crate::model::BoxError;
use crate::{Gradients, Outcome, Replica, Scalar, Trainer, Variables};
use engine::{JoinError, ReplicaId};

/// What `apply_gradients` built, shared by its operation, hooks and runner.
pub(super) struct Applied<T: Scalar> {
    pub(super) trainer: Arc<Trainer<T>>,
    pub(super) readiness: Readiness,
}

impl<T: Scalar> Clone for Applied<T> {
    fn clone(&self) -> Self {
        Self { trainer: Arc::clone(&self.trainer), readiness: self.readiness.clone() }
    }
}

impl<T: Scalar> Applied<T> {
    pub(super) fn new(trainer: Trainer<T>, names: Vec<String>) -> Self {
        Self { trainer: Arc::new(trainer), readiness: Readiness::new(names) }
    }
}

/// Something that needs the result of `apply_gradients` was called before it.
//
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} was asked for before apply_gradients; call apply_gradients first")]
#[non_exhaustive]
pub struct NotApplied {
    /// What was requested.
    pub what: &'static str,
}

/// What every replica runs; state and checkpoints belong to its [`Trainer`].
#[derive(Clone)]
pub struct TrainOp<T: Scalar> {
    applied: Applied<T>,
}

/// Computes a replica's gradients from the variables; it gets the batch's number.
type Compute<'a, T> = dyn FnMut(&Variables<T>, u64) -> Result<Gradients<T>, BoxError> + Send + 'a;

/// One replica's session: each run is one of its steps.
pub struct ReplicaSession<'a, T: Scalar> {
    trainer: Arc<Trainer<T>>,
    id: ReplicaId,
    replica: Option<Replica<T>>,
    compute: Box<Compute<'a, T>>,
    last: Option<Outcome>,
}

impl<T: Scalar> fmt::Debug for TrainOp<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainOp").field("trainer", &self.applied.trainer).finish_non_exhaustive()
    }
}

impl<T: Scalar> TrainOp<T> {
    pub(super) fn new(applied: Applied<T>) -> Self {
        Self { applied }
    }

    /// The trainer: variables, slots, averages, checkpoints.
    #[must_use]
    pub fn trainer(&self) -> &Trainer<T> {
        &self.applied.trainer
    }

    /// The chief's initialisation of the shared variables: they have their initial values, and are
    /// ready from now on.
    //
    pub fn initialize(&self) {
        self.applied.readiness.publish_all();
    }

    /// The event that the other replicas wait for: all variables ready.
    //
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.applied.readiness
    }

    /// A session for a replica; `compute` gives the gradients of its next batch. A [`RunError`]
    /// that it returns means what it says: [`RunError::EndOfInput`] ends this replica cleanly. Any
    /// other error fails its run.
    // P-6
    pub fn session<'a>(
        &self,
        replica: ReplicaId,
        compute: impl FnMut(&Variables<T>, u64) -> Result<Gradients<T>, BoxError> + Send + 'a,
    ) -> ReplicaSession<'a, T> {
        ReplicaSession {
            trainer: Arc::clone(&self.applied.trainer),
            id: replica,
            replica: None,
            compute: Box::new(compute),
            last: None,
        }
    }
}

impl<T: Scalar> fmt::Debug for ReplicaSession<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaSession")
            .field("id", &self.id)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> ReplicaSession<'_, T> {
    /// What became of the last push.
    #[must_use]
    pub fn last_outcome(&self) -> Option<&Outcome> {
        self.last.as_ref()
    }

    /// The global step as of now.
    #[must_use]
    pub fn step(&self) -> GlobalStep {
        self.trainer.snapshot().global_step
    }

    /// Sets the local step to the global step: the replica takes part from now on.
    //
    pub(super) fn join(&mut self) -> Result<(), JoinError> {
        // A session that was created again is another life of the same replica.
        self.replica = None;
        self.replica = Some(self.trainer.replica(self.id)?);
        Ok(())
    }
}

impl<T: Scalar> Session for ReplicaSession<'_, T> {
    fn run(&mut self) -> Result<StepReport, RunError> {
        if self.replica.is_none() {
            let joined = self.trainer.replica(self.id).map_err(RunError::fatal)?;
            self.replica = Some(joined);
        }
        let Some(replica) = &mut self.replica else { return Err(RunError::Stopped) };
        let Some(step) = replica.next_step().map_err(RunError::fatal)? else {
            return Err(RunError::EndOfInput);
        };
        let gradients = (self.compute)(step.variables(), step.number()).map_err(of_compute)?;
        let outcome = step.push(gradients);
        self.last = Some(match outcome {
            Ok(outcome) => outcome,
            Err(crate::PushError::Refused(engine::Refused::Ended)) => {
                return Err(RunError::EndOfInput);
            }
            Err(error) => return Err(RunError::fatal(error)),
        });
        // The token is part of the operation; without one, training has ended.
        if !replica.wait_for_token().map_err(RunError::fatal)? {
            return Err(RunError::EndOfInput);
        }
        Ok(StepReport::new(self.step().get()))
    }

    fn global_step(&self) -> i64 {
        self.step().get()
    }

    fn close(&mut self) {
        self.replica = None;
    }
}

/// What the computation says of the session, if anything.
fn of_compute(error: BoxError) -> RunError {
    match error.downcast::<RunError>() {
        Ok(said) => *said,
        Err(other) => RunError::fatal(other),
    }
}
