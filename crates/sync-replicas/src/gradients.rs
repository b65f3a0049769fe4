//! One replica's gradients of one batch: for each variable a dense array, indexed slices, or none.
//!
//! Carries values only; their sender and their freshness are the engine's business.

use std::borrow::Cow;

use accum_core::IndexedSlices;
use half::{bf16, f16};
use ndarray::{Array, ArrayD, ArrayViewMutD, Dimension};

use crate::Scalar;

/// The gradient of one variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Gradient<T> {
    /// One number for every element of the variable; the variable's shape.
    Dense(ArrayD<T>),
    /// Some rows of the variable.
    // R-8
    Sparse(IndexedSlices<T>),
    /// The variable had no gradient: it passes through untouched.
    // R-19
    Missing,
}

/// Gradients by variable name, in the order in which they were added.
///
/// # Examples
/// ```
/// use ndarray::{array, Array2};
/// use sync_replicas::{Gradients, IndexedSlices};
///
/// let rows = IndexedSlices::new(vec![3, 7], array![[1.0_f32], [2.0]].into_dyn(), None)?;
/// let gradients = Gradients::new().dense("w", Array2::zeros((64, 10))).sparse("table", rows);
/// assert_eq!(gradients.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<T> {
    pairs: Vec<(Cow<'static, str>, Gradient<T>)>,
}

/// What a replica computed from one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed<T> {
    /// The mean loss over the batch.
    pub loss: f64,
    /// How many examples the batch had.
    pub examples: u64,
    /// The gradient of the mean loss for each variable.
    pub gradients: Gradients<T>,
}

impl<T> Default for Gradients<T> {
    fn default() -> Self {
        Self { pairs: Vec::new() }
    }
}

impl<T: Scalar> Gradient<T> {
    /// Whether no number in it is infinite or NaN; one pass over it.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let values = match self {
            Self::Dense(array) => array,
            Self::Sparse(slices) => &slices.values,
            Self::Missing => return true,
        };
        match values.as_slice_memory_order() {
            // By pieces, which the compiler makes into wide instructions, and the first ends it.
            Some(values) => values
                .chunks(1024)
                .all(|piece| piece.iter().fold(true, |finite, value| finite & value.is_finite())),
            None => values.iter().all(|value| value.is_finite()),
        }
    }
}

impl<T: Scalar> Gradients<T> {
    /// Whether no number in them is infinite or NaN; one pass over them.
    // P-25
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.pairs.iter().all(|(_, gradient)| gradient.is_finite())
    }
}

impl<T> Gradients<T> {
    /// No gradients yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dense gradient of any layout.
    #[must_use]
    pub fn dense<D: Dimension>(
        self,
        name: impl Into<Cow<'static, str>>,
        gradient: Array<T, D>,
    ) -> Self {
        self.with(name, Gradient::Dense(gradient.into_dyn()))
    }

    /// Adds a sparse gradient.
    #[must_use]
    pub fn sparse(self, name: impl Into<Cow<'static, str>>, gradient: IndexedSlices<T>) -> Self {
        self.with(name, Gradient::Sparse(gradient))
    }

    /// Says that a variable has no gradient.
    #[must_use]
    pub fn missing(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.with(name, Gradient::Missing)
    }

    /// Adds a gradient of any kind.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, gradient: Gradient<T>) -> Self {
        self.pairs.push((name.into(), gradient));
        self
    }

    /// The number of pairs, missing gradients included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Names and gradients, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Gradient<T>)> {
        self.pairs.iter().map(|(name, gradient)| (name.as_ref(), gradient))
    }

    /// Writable views of all numbers: dense arrays, and the rows of sparse ones. For clipping
    /// before the push.
    // R-17
    pub fn views_mut(&mut self) -> Vec<ArrayViewMutD<'_, T>> {
        self.pairs
            .iter_mut()
            .filter_map(|(_, gradient)| match gradient {
                Gradient::Dense(array) => Some(array.view_mut()),
                Gradient::Sparse(slices) => Some(slices.values.view_mut()),
                Gradient::Missing => None,
            })
            .collect()
    }

    pub(crate) fn into_pairs(self) -> Vec<(Cow<'static, str>, Gradient<T>)> {
        self.pairs
    }
}

impl<T> IntoIterator for Gradients<T> {
    type Item = (Cow<'static, str>, Gradient<T>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}

/// Half precision widens exactly; sums are then made in `f32`.
// R-7
impl<D: Dimension> From<Array<f16, D>> for Gradient<f32> {
    fn from(gradient: Array<f16, D>) -> Self {
        Self::Dense(gradient.into_dyn().mapv(f16::to_f32))
    }
}

/// Half precision widens exactly; sums are then made in `f32`.
// R-7
impl<D: Dimension> From<Array<bf16, D>> for Gradient<f32> {
    fn from(gradient: Array<bf16, D>) -> Self {
        Self::Dense(gradient.into_dyn().mapv(bf16::to_f32))
    }
}
