//! The order for one batch, as a model sees it.

use std::fmt;
use std::time::Duration;

use accum_core::GlobalStep;
use ndarray::{ArrayD, ArrayView2, ArrayViewD};

use super::cancellation::Cancellation;
use super::step_tables::StepTables;
use crate::runtime::buffers::GradientBuffers;
use crate::{Rows, Scalar, VariableError};
use engine::ReplicaId;

/// The order for one batch: which replica computes it, for which step, and which batch it is.
pub struct Work<'a, T: Scalar> {
    /// The replica that computes.
    pub replica: ReplicaId,
    /// The step whose variables are used, and which the gradient will claim.
    pub step: GlobalStep,
    /// The number of the batch. In a run it never repeats; in replica order it depends on the step
    /// and the share alone, so the gradient is the same whichever replica computes it.
    // P-14
    pub number: u64,
    pub(crate) superseded: &'a Cancellation,
    buffers: &'a GradientBuffers<T>,
    rows: Option<&'a Rows<T>>,
    tables: Option<StepTables<T>>,
}

impl<T: Scalar> fmt::Debug for Work<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, step, number, superseded, buffers: _, rows: _, tables: _ } = self;
        f.debug_struct("Work")
            .field("replica", replica)
            .field("step", step)
            .field("number", number)
            .field("superseded", superseded)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Scalar> Work<'a, T> {
    /// The order for the batch with this number.
    #[must_use]
    pub fn new(
        replica: ReplicaId,
        step: GlobalStep,
        number: u64,
        superseded: &'a Cancellation,
        buffers: &'a GradientBuffers<T>,
    ) -> Self {
        Self { replica, step, number, superseded, buffers, rows: None, tables: None }
    }

    /// The same with the rows looked up for it.
    #[must_use]
    pub fn with_rows(self, rows: &'a Rows<T>) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// The rows of a table that [`Model::keys`](crate::Model::keys) has named, keys x width, in the
    /// order of the keys: as they are at [`step`](Self::step).
    ///
    /// # Errors
    /// [`VariableError::NotLookedUp`] names the tables whose rows are there.
    // P-17
    pub fn rows(&self, table: &str) -> Result<ArrayView2<'a, T>, VariableError> {
        match self.rows {
            Some(rows) => rows.get(table),
            None => {
                let (name, known) = (table.to_owned(), "none".to_owned());
                Err(VariableError::NotLookedUp { name, known })
            }
        }
    }

    pub(crate) fn with_tables(self, tables: StepTables<T>) -> Self {
        Self { tables: Some(tables), ..self }
    }

    /// The tables at [`step`](Self::step), for a model that learns which keys it needs only while
    /// it computes; it may also be kept and asked elsewhere. None in a cluster, where the rows of
    /// [`Model::keys`](crate::Model::keys) come in one round trip.
    #[must_use]
    pub fn tables(&self) -> Option<StepTables<T>> {
        self.tables.clone()
    }

    /// Whether the step was finished without this work, so that its gradient would be dropped.
    // P-13
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }

    /// The same, to await, or to ask elsewhere.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.superseded.clone()
    }

    /// Waits for `duration`, or until the work is superseded or training ends; returns whether it
    /// was cut short.
    #[must_use]
    pub fn pause(&self, duration: Duration) -> bool {
        self.superseded.wait(duration)
    }

    /// An array of a variable's shape to write its gradient to, so that a step allocates nothing.
    ///
    /// As [`Step::buffer`](crate::driver::StepOf::buffer).
    ///
    /// # Errors
    /// [`VariableError::Unknown`] names those that exist.
    ///
    /// # Examples
    /// The gradient of *w²*:
    /// ```
    /// use sync_replicas::{BoxError, Computed, Gradients, Model, Variables, Work};
    ///
    /// struct Square;
    ///
    /// impl Model<f32> for Square {
    ///     type Batch = ();
    ///
    ///     fn gradients(
    ///         &self,
    ///         variables: &Variables<f32>,
    ///         _: &(),
    ///         work: &Work<'_, f32>,
    ///     ) -> Result<Option<Computed<f32>>, BoxError> {
    ///         let w = variables.get("w")?;
    ///         let mut gradient = work.buffer("w")?;
    ///         gradient.zip_mut_with(w, |gradient, w| *gradient = 2.0 * w);
    ///         let gradients = Gradients::new().dense("w", gradient);
    ///         Ok(Some(Computed { loss: f64::from((w * w).sum()), examples: 1, gradients }))
    ///     }
    /// }
    /// ```
    pub fn buffer(&self, variable: &str) -> Result<ArrayD<T>, VariableError> {
        self.buffers.get(variable)
    }

    /// A gradient held elsewhere, copied once, into such a buffer.
    ///
    /// As [`Step::buffer_of`](crate::driver::StepOf::buffer_of).
    #[must_use]
    pub fn buffer_of(&self, variable: &str, gradient: ArrayViewD<'_, T>) -> ArrayD<T> {
        self.buffers.filled(variable, gradient)
    }
}
