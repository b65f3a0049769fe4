//! One step of one replica, as a guard: it is pushed, or given back when dropped.
//!
//! It borrows or owns its replica, and is otherwise the same. Holds the snapshot that the gradients
//! are computed from, and releases it before the push, so that the update can happen in place.
//! Invariant: the replica knows of its open step until that is pushed or given back.

use std::borrow::{Borrow, BorrowMut};
use std::fmt;
use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};
use ndarray::{Array2, ArrayD, ArrayViewD};

use super::Replica;
use super::cancellation::Cancellation;
use super::mailbox::Granted;
use super::step_tables::StepTables;
use super::work::Work;
use crate::hook_host::TrainingView;
use crate::record::{Span, SpanKind};
use crate::runtime::PushError;
use crate::runtime::shared::core::PushReport;
use crate::sync::Arc;
use crate::{
    Computed, Gradients, Keys, LookupError, Rows, Scalar, Snapshot, VariableError, Variables,
};
use engine::{Grant, Outcome, Push};

/// A step that borrows its replica: see [`Replica::next_step`].
///
/// Dropping it without a push gives the token back: to the others if the step still needs it.
pub type Step<'r, T> = StepOf<T, Lent<'r, T>>;

/// A step that owns its replica, for a loop that cannot lend it: see [`Replica::into_step`].
///
/// Dropping it without a push gives the token back, and the replica leaves.
pub type OwnedStep<T> = StepOf<T, Replica<T>>;

/// A permission to compute one batch, with the variables to compute it from: a [`Step`] or an
/// [`OwnedStep`].
pub struct StepOf<T: Scalar, R: BorrowMut<Replica<T>>> {
    snapshot: Arc<Snapshot<T>>,
    grant: Grant,
    replica: R,
}

/// A replica lent to its step, which gives the token back if it is not pushed.
#[derive(Debug)]
pub struct Lent<'r, T: Scalar>(&'r mut Replica<T>);

/// The token, as far as the replica is concerned.
#[derive(Debug)]
pub(super) struct OpenStep {
    grant: Grant,
    begun: Duration,
}

impl<T: Scalar> Borrow<Replica<T>> for Lent<'_, T> {
    fn borrow(&self) -> &Replica<T> {
        self.0
    }
}

impl<T: Scalar> BorrowMut<Replica<T>> for Lent<'_, T> {
    fn borrow_mut(&mut self) -> &mut Replica<T> {
        self.0
    }
}

impl<T: Scalar> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl<T: Scalar, R: BorrowMut<Replica<T>>> fmt::Debug for StepOf<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl<'r, T: Scalar> Step<'r, T> {
    pub(super) fn lent(replica: &'r mut Replica<T>, granted: Granted) -> Self {
        Self::begin(Lent(replica), granted)
    }

    /// Pushes the gradients of all variables as one unit, and returns what became of them. With
    /// [`NonFinite::Skip`](engine::NonFinite) they are checked first: [`Outcome::NotFinite`] says
    /// that they were left out.
    ///
    /// # Errors
    /// [`PushError`] when they do not fit; nothing was changed, and the token was given back.
    /// Staleness is no error (P-7).
    // P-11, P-25
    pub fn push(self, gradients: Gradients<T>) -> Result<Outcome, PushError> {
        self.send(gradients, None, 0).1
    }

    /// The same with the loss and the number of examples, for hooks and reports.
    ///
    /// # Errors
    /// As [`Step::push`].
    pub fn push_computed(self, computed: Computed<T>) -> Result<Outcome, PushError> {
        self.send(computed.gradients, Some(computed.loss), computed.examples).1
    }

    /// Gives the batch up; the same as dropping the step.
    pub fn give_up(self) {}
}

impl<T: Scalar> OwnedStep<T> {
    /// As the borrowed step's `push`; returns the replica, whatever becomes of the gradients.
    pub fn push(self, gradients: Gradients<T>) -> (Replica<T>, Result<Outcome, PushError>) {
        self.send(gradients, None, 0)
    }

    /// The same with the loss and the number of examples, for hooks and reports.
    pub fn push_computed(self, computed: Computed<T>) -> (Replica<T>, Result<Outcome, PushError>) {
        self.send(computed.gradients, Some(computed.loss), computed.examples)
    }

    /// Gives the batch up; the replica may wait for its next one.
    #[must_use = "dropping the replica makes it leave"]
    pub fn give_up(mut self) -> Replica<T> {
        self.replica.give_up();
        self.replica
    }
}

impl<T: Scalar, R: BorrowMut<Replica<T>>> StepOf<T, R> {
    pub(super) fn begin(mut holder: R, Granted { grant, at, .. }: Granted) -> Self {
        let replica: &mut Replica<T> = holder.borrow_mut();
        let snapshot = replica.shared.snapshot();
        replica.open = Some(OpenStep { grant: grant.clone(), begun: at });
        Self { snapshot, grant, replica: holder }
    }

    fn replica(&self) -> &Replica<T> {
        self.replica.borrow()
    }

    /// The variables to compute gradients from.
    #[must_use]
    pub fn variables(&self) -> &Variables<T> {
        &self.snapshot.variables
    }

    /// The same with their step and generation.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot<T> {
        &self.snapshot
    }

    /// The step of those variables.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.snapshot.global_step
    }

    /// The step that the gradients will claim: the token's. It is the variables' own step unless
    /// leftover tokens are kept.
    // R-20
    #[must_use]
    pub fn local_step(&self) -> LocalStep {
        self.grant.local_step
    }

    /// The number of the batch to compute.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.grant.number
    }

    /// Whether its gradients would be dropped, or training has ended.
    // P-13
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.replica().superseded.is_cancelled()
    }

    /// The same, to await, or to ask elsewhere.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.replica().superseded.clone()
    }

    /// The rows of these keys of a table, keys x width, as they are at the step of the variables.
    /// Keys may come in any order and repeat; looking up changes nothing.
    ///
    /// The gradient of such rows goes into [`Gradients::sparse`], as
    /// [`IndexedSlices::by_key`](crate::IndexedSlices::by_key).
    ///
    /// # Errors
    /// [`LookupError::Superseded`] when the step was already over: give it up.
    ///
    /// # Examples
    /// ```
    /// use ndarray::Array2;
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, IndexedSlices, ReplicaId, SyncReplicas, Table, Variables};
    ///
    /// let variables = Variables::<f32>::new().with_table(Table::new("users", 2).constant(1.0))?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables)?;
    /// let mut replica = trainer.replica(ReplicaId::new(0))?;
    /// let step = replica.next_step()?.expect("training goes on");
    /// let keys = vec![12, -7];
    /// let rows = step.lookup("users", &keys)?;
    /// let gradient = IndexedSlices::by_key(keys, rows * 2.0)?;
    /// step.push(Gradients::new().sparse("users", gradient))?;
    /// assert_eq!(trainer.lookup("users", &[12])?, Array2::<f32>::zeros((1, 2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // P-17
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, LookupError> {
        self.tables().lookup(table, keys)
    }

    /// The same for all keys of a batch.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub fn lookup_all(&self, keys: &Keys) -> Result<Rows<T>, LookupError> {
        keys.iter().try_fold(Rows::new(), |rows, (table, keys)| {
            Ok(rows.with(table, self.lookup(table, keys)?))
        })
    }

    /// The order for a [`Model`](crate::Model).
    #[must_use]
    pub fn work(&self) -> Work<'_, T> {
        let replica = self.replica();
        let (step, number) = (self.snapshot.global_step, self.grant.number);
        Work::new(replica.id, step, number, &replica.superseded, &replica.shared.buffers)
            .with_tables(self.tables())
    }

    /// The tables as they are at this step, which may also be asked elsewhere.
    #[must_use]
    pub fn tables(&self) -> StepTables<T> {
        let version = (self.snapshot.generation, self.snapshot.global_step);
        StepTables::new(Arc::clone(&self.replica().shared), version)
    }

    /// An array of a variable's shape to write its gradient to, so that a step allocates nothing:
    /// once pushed and applied, or dropped as stale, it is free for another step.
    ///
    /// It holds whatever an earlier step left: write all of it. Dropping it instead of pushing it
    /// frees its memory, and when none is free, a new one is made. Worth it for large variables;
    /// for a gradient of a few KB your own array does as well.
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
        self.replica().shared.buffers.get(variable)
    }

    /// A gradient held elsewhere, copied once, into such a [`buffer`](Self::buffer); what is not a
    /// gradient of the variable is copied as it is, for the push to refuse.
    ///
    /// # Examples
    /// ```
    /// use ndarray::{ArrayViewD, array};
    /// use optim::Sgd;
    /// use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Variables};
    ///
    /// let variables = Variables::new().with("w", array![4.0_f64, 2.0])?;
    /// let trainer = SyncReplicas::new(Sgd::new(0.5)).build(variables)?;
    /// let mut replica = trainer.replica(ReplicaId::new(0))?;
    /// let step = replica.next_step()?.expect("training goes on");
    /// let foreign = [2.0, 2.0];
    /// let gradient = step.buffer_of("w", ArrayViewD::from_shape(vec![2], &foreign)?);
    /// step.push(Gradients::new().dense("w", gradient))?;
    /// assert_eq!(trainer.snapshot().variables.vector("w")?, array![3.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn buffer_of(&self, variable: &str, gradient: ArrayViewD<'_, T>) -> ArrayD<T> {
        self.replica().shared.buffers.filled(variable, gradient)
    }

    fn send(
        self,
        gradients: Gradients<T>,
        loss: Option<f64>,
        examples: u64,
    ) -> (R, Result<Outcome, PushError>) {
        let Self { snapshot, grant, replica: mut holder } = self;
        let generation = snapshot.generation;
        drop(snapshot);
        let replica: &mut Replica<T> = holder.borrow_mut();
        let end = replica.shared.now();
        let push = Push {
            replica: replica.id,
            incarnation: replica.incarnation,
            generation,
            sequence: replica.sequence + 1,
            local_step: grant.local_step,
            lanes: None,
        };
        let report = PushReport { share: grant.share, loss, examples };
        let outcome = replica.shared.push(&push, gradients, report, end);
        match &outcome {
            Ok(outcome) => replica.pushed(outcome, end),
            Err(_) => replica.give_up(),
        }
        (holder, outcome)
    }
}

impl<T: Scalar> Replica<T> {
    /// The open step was pushed, at this time.
    fn pushed(&mut self, outcome: &Outcome, end: Duration) {
        let Some(open) = self.open.take() else { return };
        if *outcome == Outcome::NotFinite {
            let (replica, batch) = (self.id, open.grant.number);
            tracing::warn!(%replica, batch, "gradients are infinite or NaN; the batch is left out");
        }
        self.sequence += 1;
        self.idle_since = end;
        let (kind, staleness) = SpanKind::of_push(outcome);
        self.note(&open, kind, end, staleness);
    }

    /// Gives the token of the open step back, if there is one.
    pub(super) fn give_up(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (id, incarnation) = (self.id, self.incarnation);
        let end = self.shared.now();
        self.idle_since = end;
        if self.superseded.is_cancelled() {
            self.note(&open, SpanKind::Superseded, end, 0);
        }
        let refused = self
            .shared
            .event_at(end, None, |core, now, out| core.engine.give_up(id, incarnation, now, out));
        // Refused means that training ended or the replica is fenced off: no token to give back.
        if let Err(refused) = refused {
            tracing::debug!(replica = %id, %refused, "a step ended with its training");
        }
    }

    fn note(&mut self, open: &OpenStep, kind: SpanKind, end: Duration, staleness: u64) {
        let step = open.grant.local_step.get();
        let span = Span::new(self.id, step, kind, (open.begun, end));
        let span = Span { batch: Some(open.grant.number), staleness, ..span };
        self.log.record(span, self.shared.record.as_ref());
    }
}
