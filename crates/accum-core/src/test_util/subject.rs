//! What a model can be run against: the two shared accumulators, or anything of a user's own.
//!
//! Only the calls; comparing is in `against`. Invariant: a subject hands answers on as they are.

use std::future::Future;
use std::pin::Pin;

use ndarray::{Array1, Array2, ArrayD};
use proptest_state_machine::ReferenceStateMachine;

use super::{Act, DenseHistories, Pushed, SparseHistories, StalenessModel, WIDTH};
use crate::{
    Applied, ApplyError, ConditionalAccumulator, IndexedSlices, Reduction,
    SparseConditionalAccumulator, TakeError, Taken,
};

/// A mean: index and value, by ascending index.
pub type Rows = Vec<(i64, f64)>;

/// A take that has not been polled.
pub type Take = Pin<Box<dyn Future<Output = Result<Taken<Rows>, TakeError>>>>;

/// An accumulator that gives means and can be compared with the model.
pub trait Subject {
    /// What is done to it: [`DenseHistories`], [`SparseHistories`], or a mix of one's own.
    type Histories: ReferenceStateMachine<State = StalenessModel, Transition = Act>;

    /// Empty, at step 0, for gradients of shape `[WIDTH]`, or sparse ones of `[WIDTH, 1]`.
    fn new() -> Self;

    /// Pushes a gradient.
    ///
    /// # Errors
    /// When a fresh gradient does not fit.
    fn push(&mut self, gradient: &Pushed, local_step: i64) -> Result<Applied, ApplyError>;

    /// Begins a take, inert until it is polled.
    fn take(&mut self, required: i64) -> Take;

    /// Takes if there is enough and no other take waits.
    ///
    /// # Errors
    /// As a take that waits, but for a close.
    fn try_take(&mut self, required: i64) -> Result<Option<Taken<Rows>>, TakeError>;

    /// Sets the step, and gives the old one.
    fn set_step(&mut self, step: i64) -> i64;

    /// The step.
    fn step(&self) -> i64;

    /// How many gradients are held.
    fn count(&self) -> u64;

    /// Ends all waiting.
    fn close(&mut self);

    /// Whether it was closed.
    fn is_closed(&self) -> bool;
}

macro_rules! the_same_for_both {
    () => {
        fn set_step(&mut self, step: i64) -> i64 {
            self.set_global_step(step).get()
        }

        fn step(&self) -> i64 {
            self.global_step().get()
        }

        fn count(&self) -> u64 {
            self.num_accumulated()
        }

        fn close(&mut self) {
            Self::close(self);
        }

        fn is_closed(&self) -> bool {
            Self::is_closed(self)
        }
    };
}

fn rows<T>(taken: Taken<T>, rows: impl FnOnce(T) -> Rows) -> Taken<Rows> {
    Taken { value: rows(taken.value), count: taken.count, step: taken.step }
}

fn dense_rows(mean: ArrayD<f64>) -> Rows {
    (0..).zip(mean).collect()
}

fn sparse_rows(mean: IndexedSlices<f64>) -> Rows {
    mean.indices.into_iter().zip(mean.values).collect()
}

impl Subject for ConditionalAccumulator<f64> {
    type Histories = DenseHistories;

    fn new() -> Self {
        Self::new([WIDTH as usize], Reduction::Mean)
    }

    fn push(&mut self, gradient: &Pushed, local_step: i64) -> Result<Applied, ApplyError> {
        let values: Array1<f64> = gradient.rows.iter().map(|(_, value)| *value).collect();
        self.apply_grad(values, local_step)
    }

    fn take(&mut self, required: i64) -> Take {
        let handle = self.clone();
        Box::pin(async move {
            let taken = handle.take_grad(required).await?;
            Ok(rows(taken, dense_rows))
        })
    }

    fn try_take(&mut self, required: i64) -> Result<Option<Taken<Rows>>, TakeError> {
        Ok(self.try_take_grad(required)?.map(|taken| rows(taken, dense_rows)))
    }

    the_same_for_both!();
}

impl Subject for SparseConditionalAccumulator<f64> {
    type Histories = SparseHistories;

    fn new() -> Self {
        Self::new([WIDTH as usize, 1], Reduction::Mean)
    }

    fn push(&mut self, gradient: &Pushed, local_step: i64) -> Result<Applied, ApplyError> {
        let indices = gradient.rows.iter().map(|(index, _)| *index).collect();
        let shape = (gradient.rows.len(), gradient.columns);
        let values = Array2::from_shape_fn(shape, |(row, _)| gradient.rows[row].1);
        // Not through `new`, which would refuse an index before anyone looked at the step.
        let slices = IndexedSlices { indices, values: values.into_dyn(), dense_shape: None };
        self.apply_grad(slices, local_step)
    }

    fn take(&mut self, required: i64) -> Take {
        let handle = self.clone();
        Box::pin(async move {
            let taken = handle.take_grad(required).await?;
            Ok(rows(taken, sparse_rows))
        })
    }

    fn try_take(&mut self, required: i64) -> Result<Option<Taken<Rows>>, TakeError> {
        Ok(self.try_take_grad(required)?.map(|taken| rows(taken, sparse_rows)))
    }

    the_same_for_both!();
}
