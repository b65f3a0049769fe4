//! The ways to hand over a dense gradient: owned, borrowed, or lent from a pool.
//!
//! It carries data and decides nothing. Invariant: nothing is copied here; a sum that keeps an
//! owned or a lent gradient keeps its buffer, one that keeps a borrowed gradient has to copy it.

use std::borrow::Cow;

use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, Dimension};

use crate::{Element, Lent};

/// A dense gradient of any number of dimensions, on its way to an accumulator.
///
/// Made by `From`, so a call takes an array, a view or a lent buffer as it is:
///
/// ```
/// use accum_core::{DenseAccumulator, Reduction};
/// use ndarray::array;
///
/// let mut acc = DenseAccumulator::<f32>::new([2], Reduction::Mean);
/// let gradient = array![1.0, 2.0];
/// assert!(acc.apply(gradient.view(), 0)?.is_accepted()); // copied or added
/// assert!(acc.apply(gradient, 0)?.is_accepted()); // moved
/// # Ok::<(), accum_core::ApplyError>(())
/// ```
#[derive(Debug)]
pub enum Gradient<'a, E: Element> {
    /// Given away: as the first of a cycle its buffer becomes the sum.
    Owned(ArrayD<E>),
    /// Read during the call.
    Borrowed(ArrayViewD<'a, E>),
    /// Lent: its buffer goes back to its pool.
    Lent(Lent<E>),
}

impl<E: Element> Gradient<'_, E> {
    /// The shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Owned(array) => array.shape(),
            Self::Borrowed(view) => view.shape(),
            Self::Lent(lent) => lent.shape(),
        }
    }

    /// The values, wherever they are.
    pub fn view(&self) -> ArrayViewD<'_, E> {
        match self {
            Self::Owned(array) => array.view(),
            Self::Borrowed(view) => view.view(),
            Self::Lent(lent) => lent.view(),
        }
    }

    /// The gradient for keeping: only a borrowed one is copied.
    pub(crate) fn into_kept(self) -> Gradient<'static, E> {
        match self {
            Self::Owned(array) => Gradient::Owned(array),
            Self::Borrowed(view) => Gradient::Owned(view.to_owned()),
            Self::Lent(lent) => Gradient::Lent(lent),
        }
    }

    /// An owned array in standard layout: a copy only if borrowed or laid out otherwise.
    pub(crate) fn into_array(self) -> ArrayD<E> {
        let array = match self {
            Self::Owned(array) => array,
            Self::Borrowed(view) => view.as_standard_layout().into_owned(),
            Self::Lent(lent) => lent.into_array(),
        };
        match array.is_standard_layout() {
            true => array,
            false => array.as_standard_layout().into_owned(),
        }
    }

    /// The values in row-major order: a copy only if they are laid out otherwise.
    pub(crate) fn elements(&self) -> Cow<'_, [E]> {
        let slice = match self {
            Self::Owned(array) => array.as_slice(),
            Self::Borrowed(view) => view.as_slice(),
            Self::Lent(lent) => lent.as_slice(),
        };
        match slice {
            Some(slice) => slice.into(),
            None => self.view().iter().copied().collect(),
        }
    }
}

impl<E: Element, D: Dimension> From<Array<E, D>> for Gradient<'_, E> {
    fn from(array: Array<E, D>) -> Self {
        Self::Owned(array.into_dyn())
    }
}

impl<'a, E: Element, D: Dimension> From<ArrayView<'a, E, D>> for Gradient<'a, E> {
    fn from(view: ArrayView<'a, E, D>) -> Self {
        Self::Borrowed(view.into_dyn())
    }
}

impl<'a, E: Element, D: Dimension> From<&'a Array<E, D>> for Gradient<'a, E> {
    fn from(array: &'a Array<E, D>) -> Self {
        Self::Borrowed(array.view().into_dyn())
    }
}

impl<E: Element> From<Lent<E>> for Gradient<'_, E> {
    fn from(lent: Lent<E>) -> Self {
        Self::Lent(lent)
    }
}
