//! The ways to hand over a sparse gradient: owned, borrowed, or shared.
//!
//! It carries data and decides nothing. Invariant: only a borrowed gradient is ever copied for
//! keeping.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Element, IndexedSlices};

/// Indexed slices on their way to an accumulator.
///
/// Made by `From`, so a call takes slices, a reference, a `Cow` or an `Arc` as it is. An
/// accumulator that holds gradients keeps the handle of shared slices until their sum was made. A
/// replica that also kept one then gets its memory back with [`Arc::get_mut`], for its next
/// gradient:
///
/// ```
/// use std::sync::Arc;
///
/// use accum_core::{IndexedSlices, Reduction, SparseAccumulator, SparseOptions, Summation};
/// use ndarray::array;
///
/// let options = SparseOptions { summation: Summation::Held, ..SparseOptions::default() };
/// let mut acc = SparseAccumulator::<f32>::with_options([3, 1], Reduction::Mean, options);
/// let mut gradient = Arc::new(IndexedSlices::new(vec![2], array![[4.0]], None)?);
/// assert!(acc.apply(Arc::clone(&gradient), 0)?.is_accepted());
/// assert!(Arc::get_mut(&mut gradient).is_none(), "it is held");
/// let mean = acc.try_take(1)?.expect("one is held").into_value();
/// assert_eq!(mean.values, array![[4.0]].into_dyn());
/// Arc::get_mut(&mut gradient).expect("it was let go").indices[0] = 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum SparseGradient<'a, E: Element> {
    /// Given away.
    Owned(IndexedSlices<E>),
    /// Read during the call; copied only to be held.
    Borrowed(&'a IndexedSlices<E>),
    /// Read for as long as it is held.
    Shared(Arc<IndexedSlices<E>>),
}

impl<E: Element> SparseGradient<'_, E> {
    /// The slices, wherever they are.
    pub fn slices(&self) -> &IndexedSlices<E> {
        match self {
            Self::Owned(slices) => slices,
            Self::Borrowed(slices) => slices,
            Self::Shared(slices) => slices,
        }
    }

    /// For keeping.
    pub(super) fn into_shared(self) -> Arc<IndexedSlices<E>> {
        match self {
            Self::Owned(slices) => Arc::new(slices),
            Self::Borrowed(slices) => Arc::new(slices.clone()),
            Self::Shared(slices) => slices,
        }
    }

    /// For changing.
    pub(super) fn into_slices(self) -> IndexedSlices<E> {
        match self {
            Self::Owned(slices) => slices,
            Self::Borrowed(slices) => slices.clone(),
            Self::Shared(slices) => Arc::unwrap_or_clone(slices),
        }
    }
}

impl<E: Element> From<IndexedSlices<E>> for SparseGradient<'_, E> {
    fn from(slices: IndexedSlices<E>) -> Self {
        Self::Owned(slices)
    }
}

impl<'a, E: Element> From<&'a IndexedSlices<E>> for SparseGradient<'a, E> {
    fn from(slices: &'a IndexedSlices<E>) -> Self {
        Self::Borrowed(slices)
    }
}

impl<'a, E: Element> From<Cow<'a, IndexedSlices<E>>> for SparseGradient<'a, E> {
    fn from(slices: Cow<'a, IndexedSlices<E>>) -> Self {
        match slices {
            Cow::Owned(slices) => Self::Owned(slices),
            Cow::Borrowed(slices) => Self::Borrowed(slices),
        }
    }
}

impl<E: Element> From<Arc<IndexedSlices<E>>> for SparseGradient<'_, E> {
    fn from(slices: Arc<IndexedSlices<E>>) -> Self {
        Self::Shared(slices)
    }
}
