//! One pass of the kernel over a variable: cut into tiles when dense, row by row when sparse.
//!
//! Nothing is checked here; shapes and indices were. Variables of any layout are updated in
//! place; one that is not in row-major order costs a copy of what is touched.

use std::array;
use std::ops::Range;

use ndarray::{ArrayD, ArrayViewMutD, Axis};

use crate::gradient::CanonicalRows;
use crate::{DenseGradient, MAX_SLOTS, Optimizer, Real, Step, Tile};

/// Elements in a tile: small enough that variable, slots and gradient stay in the first cache.
const TILE: usize = 2048;

/// The kernel with what is the same for all its calls.
pub(super) struct Pass<'a, T: Real> {
    pub(super) optimizer: &'a dyn Optimizer<T>,
    pub(super) step: Step<'a>,
}

impl<T: Real> Pass<'_, T> {
    /// Updates every element.
    pub(super) fn dense(
        &self,
        mut variable: ArrayViewMutD<'_, T>,
        slots: &mut [ArrayD<T>],
        gradient: &dyn DenseGradient<T>,
        scratch: &mut Vec<T>,
    ) {
        if let Some(elements) = variable.as_slice_mut() {
            self.tiles(elements, slots, gradient, scratch);
        } else {
            let mut elements: Vec<T> = variable.iter().copied().collect();
            self.tiles(&mut elements, slots, gradient, scratch);
            variable.iter_mut().zip(elements).for_each(|(to, from)| *to = from);
        }
    }

    fn tiles(
        &self,
        elements: &mut [T],
        slots: &mut [ArrayD<T>],
        gradient: &dyn DenseGradient<T>,
        scratch: &mut Vec<T>,
    ) {
        let lent = gradient.lend().filter(|all| all.len() == elements.len());
        for (n, variable) in elements.chunks_mut(TILE).enumerate() {
            let range = n * TILE..n * TILE + variable.len();
            let gradient = match lent {
                Some(all) => &all[range.clone()],
                None => {
                    scratch.resize(variable.len(), T::zero());
                    gradient.read(range.start, scratch);
                    &*scratch
                }
            };
            let slots = cut(slots, &range);
            self.optimizer.update(&self.step, Tile { variable, slots, gradient });
        }
    }

    /// Updates the rows that are named, and no others.
    pub(super) fn rows(
        &self,
        mut variable: ArrayViewMutD<'_, T>,
        slots: &mut [ArrayD<T>],
        gradient: &CanonicalRows<'_, T>,
        scratch: &mut Vec<T>,
    ) {
        for (index, gradient) in gradient.iter() {
            let range = index * gradient.len()..(index + 1) * gradient.len();
            let slots = cut(slots, &range);
            let mut row = variable.index_axis_mut(Axis(0), index);
            if let Some(variable) = row.as_slice_mut() {
                self.optimizer.update(&self.step, Tile { variable, slots, gradient });
            } else {
                scratch.clear();
                scratch.extend(row.iter().copied());
                self.optimizer.update(&self.step, Tile { variable: scratch, slots, gradient });
                row.iter_mut().zip(scratch.iter()).for_each(|(to, &from)| *to = from);
            }
        }
    }
}

/// That range of every slot, and empty slices in the places past them.
fn cut<'s, T>(slots: &'s mut [ArrayD<T>], range: &Range<usize>) -> [&'s mut [T]; MAX_SLOTS] {
    let mut slots = slots.iter_mut();
    array::from_fn(|_| match slots.next() {
        Some(slot) => {
            let elements = slot.as_slice_mut().expect("slots are created in standard layout");
            &mut elements[range.clone()]
        }
        None => &mut [],
    })
}
