//! The sync-replicas hook: readiness, the role's init, the initial tokens, the chief's runner
//!

use std::fmt;
use std::sync::{Arc, OnceLock};

use hooks::{Coordinator, Failure, Hook, OnStop, StartError};

use super::runner::ChiefQueueRunner;
use super::session::{Applied, NotApplied, ReplicaSession};
use crate::Scalar;
use crate::runtime::Shared;
use engine::{InitialTokens, JoinError, StopReason};

/// Prepares one replica's session for synchronous steps.
pub struct SyncReplicasHook<T: Scalar> {
    applied: Arc<OnceLock<Applied<T>>>,
    is_chief: bool,
    initial: InitialTokens,
    /// Tells all replicas the end of the chief's run, not that of a session that is replaced.
    on_stop: Option<OnStop>,
}

/// Why the hook refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookStateError {
    /// It was begun before `apply_gradients`.
    #[error(transparent)]
    NotApplied(#[from] NotApplied),
    /// The initial tokens do not suffice.
    #[error(transparent)]
    Tokens(#[from] engine::StartError),
    /// The replica could not take part.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Variables are not ready.
    #[error(transparent)]
    NotReady(#[from] StartError),
    /// The runner's thread could not be started.
    #[error("the chief's runner could not be started")]
    Runner(#[source] std::io::Error),
}

impl<T: Scalar> fmt::Debug for SyncReplicasHook<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncReplicasHook")
            .field("is_chief", &self.is_chief)
            .field("initial", &self.initial)
            .finish_non_exhaustive()
    }
}

impl<T: Scalar> SyncReplicasHook<T> {
    pub(super) fn new(
        applied: Arc<OnceLock<Applied<T>>>,
        is_chief: bool,
        initial: InitialTokens,
    ) -> Self {
        Self { applied, is_chief, initial, on_stop: None }
    }

    fn applied(&self) -> Result<&Applied<T>, HookStateError> {
        Ok(self.applied.get().ok_or(NotApplied { what: "the sync-replicas hook" })?)
    }

    fn check(&self) -> Result<(), HookStateError> {
        let applied = self.applied()?;
        if self.is_chief {
            applied.trainer.shared.core().config().initial_tokens(self.initial)?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        session: &mut ReplicaSession<'_, T>,
        coordinator: &Coordinator,
    ) -> Result<(), HookStateError> {
        let applied = self.applied()?;
        let missing = applied.readiness.missing();
        if !missing.is_empty() {
            return Err(StartError::NotReady { missing }.into());
        }
        match session.join() {
            // P-1: a replica that comes after a normal end has nothing to do, and nothing went
            // wrong.
            Err(JoinError::Ended) if !self.is_chief => {
                coordinator.request_stop("training has ended");
                return Ok(());
            }
            joined => joined?,
        }
        let shared = Arc::clone(&applied.trainer.shared);
        if self.is_chief {
            shared.start_chief(self.initial)?;
            shared.keep_time();
            let runner = ChiefQueueRunner::new(Arc::clone(&shared));
            runner.start(coordinator).map_err(HookStateError::Runner)?;
            self.on_stop = Some(tell_the_end(shared, coordinator));
        }
        Ok(())
    }
}

/// P-2: the end of the chief's run ends training for all.
fn tell_the_end<T: Scalar>(shared: Arc<Shared<T>>, coordinator: &Coordinator) -> OnStop {
    let run = coordinator.clone();
    coordinator.on_stop(move || {
        if run.is_ending() {
            let reason = run.stop_reason().unwrap_or_else(|| "the chief's run failed".to_owned());
            shared.stop(StopReason::Requested(reason));
        }
    })
}

impl<'a, T: Scalar> Hook<ReplicaSession<'a, T>> for SyncReplicasHook<T> {
    fn begin(&mut self) -> Result<(), Failure> {
        self.check().map_err(|error| Failure::Fatal(error.into()))
    }

    fn after_create_session(
        &mut self,
        session: &mut ReplicaSession<'a, T>,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        self.start(session, coordinator).map_err(|error| Failure::Fatal(error.into()))
    }
}
