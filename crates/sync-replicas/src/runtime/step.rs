//! One step of one replica, as a guard: it is pushed, or given back when dropped.
//!
//! Holds the snapshot that the gradients are computed from, and lets go of it before the push, so
//! that the update can happen in place.

use std::fmt;
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};
use ndarray::ArrayD;

use super::PushError;
use super::cancellation::Cancellation;
use super::mailbox::Granted;
use super::replica::Replica;
use super::span::SpanKind;
use crate::hook_host::TrainingView;
use crate::model::Work;
use crate::sync::Arc;
use crate::{Computed, Gradients, Scalar, Snapshot, VariableError, Variables};
use engine::{Grant, Outcome, Push};

/// A permission to compute one batch, with the variables to compute it from.
///
/// Dropping it without a push gives the token back: to the others if the step still needs it.
pub struct Step<'r, T: Scalar> {
    snapshot: Arc<Snapshot<T>>,
    permit: Permit<'r, T>,
}

/// The token, as far as the replica is concerned.
struct Permit<'r, T: Scalar> {
    replica: &'r mut Replica<T>,
    grant: Grant,
    begun: Duration,
    spent: bool,
}

impl<T: Scalar> fmt::Debug for Step<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("grant", &self.permit.grant).finish_non_exhaustive()
    }
}

impl<'r, T: Scalar> Step<'r, T> {
    pub(crate) fn begin(replica: &'r mut Replica<T>, Granted { grant, at, .. }: Granted) -> Self {
        let snapshot = replica.shared.snapshot();
        Self { snapshot, permit: Permit { replica, grant, begun: at, spent: false } }
    }

    /// The variables to compute gradients from.
    #[must_use]
    pub fn variables(&self) -> &Variables<T> {
        &self.snapshot.variables
    }

    /// The step of those variables.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.snapshot.global_step
    }

    /// The step that the gradients will claim: the token's (R-20). It is the variables' own step
    /// unless leftover tokens are kept.
    #[must_use]
    pub fn local_step(&self) -> LocalStep {
        self.permit.grant.local_step
    }

    /// The number of the batch to compute.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.permit.grant.number
    }

    /// Whether its gradients would be dropped, or training has ended (P-13).
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.permit.replica.superseded.is_cancelled()
    }

    /// The same, to be awaited, or asked elsewhere.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.permit.replica.superseded.clone()
    }

    /// The order for a [`Model`](crate::Model).
    #[must_use]
    pub fn work(&self) -> Work<'_, T> {
        let replica = &self.permit.replica;
        let (step, number) = (self.snapshot.global_step, self.permit.grant.number);
        Work::new(replica.id, step, number, &replica.superseded, &replica.shared.buffers)
    }

    /// An array of a variable's shape to write its gradient to, so that a step allocates nothing:
    /// once pushed and applied, or dropped as stale, it is there for another step.
    ///
    /// What is in it is whatever an earlier step left: write all of it. One that is dropped
    /// instead of pushed is freed, and when none is free, a new one is made.
    /// Worth it for large variables; a gradient of a few KB is as well an array of your own.
    ///
    /// # Errors
    /// [`VariableError::Unknown`] names those that exist.
    ///
    /// # Examples
    /// ```
    /// use ndarray::array;
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Variables};
    ///
    /// let variables = Variables::new().with("w", array![4.0_f64, 2.0])?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables)?;
    /// let mut replica = trainer.replica(ReplicaId::new(0))?;
    /// for _ in 0..2 {
    ///     let step = replica.next_step()?.expect("training goes on");
    ///     let mut gradient = step.buffer("w")?;
    ///     gradient.assign(step.variables().get("w")?);
    ///     step.push(Gradients::new().dense("w", gradient))?;
    /// }
    /// assert_eq!(trainer.snapshot().variables.vector("w")?, array![1.0, 0.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn buffer(&self, variable: &str) -> Result<ArrayD<T>, VariableError> {
        self.permit.replica.shared.buffers.get(variable)
    }

    /// Pushes the gradients of all variables as one unit (P-11), and says what became of them.
    /// With [`NonFinite::Skip`](engine::NonFinite) they are looked at first: [`Outcome::NotFinite`]
    /// says that they were left out (P-25).
    ///
    /// # Errors
    /// [`PushError`] when they do not fit; nothing was changed, and the token was given back.
    /// Staleness is no error (P-7).
    pub fn push(self, gradients: Gradients<T>) -> Result<Outcome, PushError> {
        self.send(gradients, None, 0)
    }

    /// The same with the loss and the number of examples, for hooks and reports.
    ///
    /// # Errors
    /// As [`Step::push`].
    pub fn push_computed(self, computed: Computed<T>) -> Result<Outcome, PushError> {
        self.send(computed.gradients, Some(computed.loss), computed.examples)
    }

    /// Gives the batch up; the same as dropping the step.
    pub fn give_up(self) {}

    fn send(
        self,
        gradients: Gradients<T>,
        loss: Option<f64>,
        examples: u64,
    ) -> Result<Outcome, PushError> {
        let Self { snapshot, mut permit } = self;
        let generation = snapshot.generation;
        drop(snapshot);
        let end = permit.replica.shared.now();
        let push = Push {
            replica: permit.replica.id,
            incarnation: permit.replica.incarnation,
            generation,
            sequence: permit.replica.sequence + 1,
            local_step: permit.grant.local_step,
            lanes: None,
        };
        let report = (permit.grant.share, loss, examples);
        let outcome = permit.replica.shared.push(&push, gradients, report, end)?;
        if outcome == Outcome::NotFinite {
            let (replica, batch) = (push.replica, permit.grant.number);
            tracing::warn!(%replica, batch, "gradients are infinite or NaN; the batch is left out");
        }
        permit.spent = true;
        permit.replica.sequence += 1;
        permit.replica.idle_since = end;
        permit.record(
            match outcome {
                Outcome::Stale { .. } => SpanKind::Stale,
                Outcome::Duplicate { .. } => SpanKind::Duplicate,
                Outcome::NotFinite => SpanKind::NotFinite,
                _ => SpanKind::Accepted,
            },
            end,
        );
        Ok(outcome)
    }
}

impl<T: Scalar> Permit<'_, T> {
    fn record(&mut self, kind: SpanKind, end: Duration) {
        let (id, step) = (self.replica.id, self.grant.local_step);
        let record = self.replica.shared.record.as_ref();
        self.replica.log.record(id, step, kind, (self.begun, end), record);
    }
}

impl<T: Scalar> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        let (id, incarnation) = (self.replica.id, self.replica.incarnation);
        let end = self.replica.shared.now();
        self.replica.idle_since = end;
        if self.replica.superseded.is_cancelled() {
            self.record(SpanKind::Superseded, end);
        }
        let refused = self
            .replica
            .shared
            .event_at(end, None, |core, now, out| core.engine.give_up(id, incarnation, now, out));
        // Refused means that training ended or the replica is fenced off: no token to give back.
        if let Err(refused) = refused {
            tracing::debug!(replica = %id, %refused, "a step ended with its training");
        }
    }
}
