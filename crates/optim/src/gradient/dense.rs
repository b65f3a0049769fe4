//! Dense gradients, read in tiles, so that a division or a conversion happens inside the update's
//! own pass over memory.

use ndarray::{ArrayBase, ArrayViewD, Axis, Data, Dimension, Slice};

use super::element::GradientElement;
use crate::Real;
use crate::simd::widest;

/// A gradient with a value for every element of its variable.
///
/// Array views of any layout are gradients, even of `f16` or `bf16` for an `f32` variable; [`Mean`]
/// divides another one. Implement it to compute elements where they are needed, for example a sum
/// over several held gradients.
// R-14
pub trait DenseGradient<T>: Sync {
    /// The gradient's shape, which must be that of the variable.
    fn shape(&self) -> &[usize];

    /// Writes the elements `start .. start + tile.len()`, counted in row-major order, into `tile`.
    ///
    /// # Panics
    /// May panic when that range goes past the end of the gradient.
    fn read(&self, start: usize, tile: &mut [T]);

    /// The whole gradient, if it already lies in memory in row-major order; it then spares the copy
    /// of [`read`](Self::read). `None` is always right.
    fn lend(&self) -> Option<&[T]> {
        None
    }
}

impl<T, G: DenseGradient<T> + ?Sized> DenseGradient<T> for &G {
    fn shape(&self) -> &[usize] {
        (**self).shape()
    }

    fn read(&self, start: usize, tile: &mut [T]) {
        (**self).read(start, tile);
    }

    fn lend(&self) -> Option<&[T]> {
        (**self).lend()
    }
}

impl<T, E, S, D> DenseGradient<T> for ArrayBase<S, D>
where
    T: Real,
    E: GradientElement<T>,
    S: Data<Elem = E> + Sync,
    D: Dimension,
{
    fn shape(&self) -> &[usize] {
        ArrayBase::shape(self)
    }

    fn read(&self, start: usize, tile: &mut [T]) {
        if let Some(all) = self.as_slice() {
            let range = start..start + tile.len();
            for (to, from) in tile.iter_mut().zip(&all[range]) {
                *to = from.widen();
            }
        } else {
            read_lanes(&self.view().into_dyn(), start, tile);
        }
    }

    fn lend(&self) -> Option<&[T]> {
        self.as_slice().and_then(E::lend)
    }
}

/// Reads along the last axis, lane by lane, which costs the same for every layout.
fn read_lanes<T, E: GradientElement<T>>(
    view: &ArrayViewD<'_, E>,
    start: usize,
    mut tile: &mut [T],
) {
    let Some(&width) = view.shape().last() else { return };
    let mut position = start;
    while !tile.is_empty() && width > 0 {
        let (lane, offset) = (position / width, position % width);
        let n = tile.len().min(width - offset);
        let (now, later) = tile.split_at_mut(n);
        let mut run = nth_lane(view, lane);
        run.slice_axis_inplace(Axis(0), Slice::from(offset..offset + n));
        now.iter_mut().zip(&run).for_each(|(to, from)| *to = from.widen());
        tile = later;
        position += n;
    }
}

/// The `lane`-th view along the last axis, the only one that it has left, counted in row-major
/// order.
fn nth_lane<'a, E>(view: &ArrayViewD<'a, E>, mut lane: usize) -> ArrayViewD<'a, E> {
    let mut rest = view.clone();
    // The axis before the last varies fastest, so it is split off first.
    while rest.ndim() > 1 {
        let axis = rest.ndim() - 2;
        let length = rest.shape()[axis];
        rest = rest.index_axis_move(Axis(axis), lane % length);
        lane /= length;
    }
    rest
}

/// The mean of gradients of which only the sum is held: every element is `sum / divisor`.
///
/// It is a true division and not a multiplication by a reciprocal, so that the mean of one gradient
/// is that gradient, bit for bit (P-3).
///
/// # Examples
/// ```
/// use ndarray::array;
/// use optim::{Mean, OptimizerState, Sgd};
///
/// let mut state = OptimizerState::<f32>::new(Sgd::new(1.0))?;
/// let mut w = array![0.0, 0.0].into_dyn();
/// state.add_variable("w", w.shape())?;
/// let sum_of_four = array![4.0_f32, -8.0];
/// state.apply_dense("w", w.view_mut(), &Mean { sum: sum_of_four.view(), divisor: 4.0 })?;
/// assert_eq!(w, array![-1.0, 2.0].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Mean<G, T> {
    /// The sum of the gradients.
    pub sum: G,
    /// How many gradients are in the sum. A zero gives what the division gives: infinities or NaN.
    pub divisor: T,
}

impl<T: Real, G: DenseGradient<T>> DenseGradient<T> for Mean<G, T> {
    fn shape(&self) -> &[usize] {
        self.sum.shape()
    }

    fn read(&self, start: usize, tile: &mut [T]) {
        let divisor = self.divisor;
        if let Some(all) = self.sum.lend() {
            let sum = &all[start..start + tile.len()];
            widest(|| tile.iter_mut().zip(sum).for_each(|(to, &from)| *to = from / divisor));
        } else {
            self.sum.read(start, tile);
            widest(|| tile.iter_mut().for_each(|element| *element /= divisor));
        }
    }

    fn lend(&self) -> Option<&[T]> {
        // x / 1 is x, bit for bit.
        if self.divisor == T::one() { self.sum.lend() } else { None }
    }
}
