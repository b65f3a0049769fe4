//! A training that is made elsewhere, as one process of it sees it: its hooks and its buffers.
//!
//! Decides and updates nothing: whoever hears of the steps tells them here.

use std::sync::{Arc, Mutex, PoisonError};

use accum_core::GlobalStep;
use hooks::{MonitoredSession, SessionError, StepReport};
use ndarray::ArrayD;
use optim::Sgd;

use crate::builder::BuildError;
use crate::ids::ReplicaId;
use crate::model::Work;
use crate::runtime::{ChiefSession, Closer, Superseded, Totals};
use crate::{Gradient, Hooks, Scalar, SyncReplicas, Trainer, Variables};

/// The hooks of a training whose updates are made elsewhere, and what its replica computes with.
pub struct Follower<T: Scalar> {
    trainer: Trainer<T>,
    monitored: Option<Mutex<MonitoredSession<'static, ChiefSession<T>>>>,
}

impl<T: Scalar> Follower<T> {
    /// For a training that begins with these variables.
    ///
    /// # Errors
    /// [`BuildError::NoVariables`].
    pub fn new(variables: Variables<T>) -> Result<Self, BuildError> {
        // Never started: it holds the snapshot that hooks look at, and the buffers.
        let nothing = SyncReplicas::new(Sgd::new(0.0));
        let trainer = nothing.assemble(variables, &[], Closer::LastPusher)?;
        Ok(Self { trainer, monitored: None })
    }

    /// Runs the hooks from now on.
    ///
    /// # Errors
    /// [`SessionError`] when one of them cannot begin.
    pub fn run_hooks(&mut self, hooks: Hooks<T>) -> Result<(), SessionError> {
        let shared = Arc::downgrade(&self.trainer.shared);
        let update = Arc::default();
        let session = MonitoredSession::builder(move |_| match shared.upgrade() {
            Some(shared) => Ok(shared.session(&update)),
            None => Err(hooks::RunError::Stopped),
        })
        .hooks(hooks.into_list())
        .start()?;
        self.monitored = Some(Mutex::new(session));
        Ok(())
    }

    /// Whether hooks run here.
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        self.monitored.is_some()
    }

    /// What a model needs for one batch.
    #[must_use]
    pub fn work<'a>(
        &'a self,
        replica: ReplicaId,
        step: GlobalStep,
        number: u64,
        superseded: &'a Superseded,
    ) -> Work<'a, T> {
        Work { replica, step, number, superseded, buffers: &self.trainer.shared.buffers }
    }

    /// Dense gradients by variable, whose memory nobody uses any more: the model gets it again.
    pub fn take_back(&self, gradients: impl IntoIterator<Item = (usize, ArrayD<T>)>) {
        let gradients = gradients.into_iter().map(|(index, it)| (index, Gradient::Dense(it)));
        self.trainer.shared.buffers.take_back(gradients);
    }

    /// An update was made elsewhere: hooks run, and see these variables and totals. A reason to end
    /// training, if one of them has one.
    ///
    /// # Errors
    /// [`SessionError`] when one of them fails.
    pub fn made(
        &self,
        step: GlobalStep,
        variables: &Variables<T>,
        totals: Totals,
        report: StepReport,
    ) -> Result<Option<String>, SessionError> {
        let Some(monitored) = &self.monitored else { return Ok(None) };
        self.trainer.shared.mirror(step, variables, totals);
        let mut session = monitored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chief) = session.session() {
            chief.report(report);
        }
        session.run()?;
        let over = session.should_stop();
        Ok(over.then(|| session.coordinator().stop_reason().unwrap_or_default()))
    }

    /// The end of training: hooks have their last turn.
    ///
    /// # Errors
    /// [`SessionError`] when one of them fails.
    pub fn close(&self) -> Result<(), SessionError> {
        match &self.monitored {
            Some(session) => session.lock().unwrap_or_else(PoisonError::into_inner).close(),
            None => Ok(()),
        }
    }
}
