//! One pass of the kernel over a variable: cut into tiles when dense, row by row when sparse.
//!
//! Nothing is checked here; shapes and indices were. Variables of any layout are updated in place;
//! one that is not in row-major order costs a copy of what is touched. Invariant: the kernel is
//! elementwise, so neither tiles nor parts show in the result.

use std::ops::Range;
use std::{array, mem};

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis};

use super::parts::{Parts, SMALLEST_PART};
use crate::gradient::CanonicalRows;
use crate::{DenseGradient, MAX_SLOTS, Optimizer, Real, Step, Tile};

/// How many elements of a gradient are computed at a time: enough that a sum over many held
/// gradients reads each in long runs, few enough to stay in the second cache until used.
const TILE: usize = 1 << 15;

/// The kernel with what is the same for all its calls.
pub(super) struct Pass<'a, T: Real> {
    pub(super) optimizer: &'a dyn Optimizer<T>,
    pub(super) step: Step<'a>,
    pub(super) parts: Parts,
}

/// Consecutive elements of a variable with their slots, and room for their gradient.
struct Span<'a, T> {
    start: usize,
    variable: &'a mut [T],
    slots: [&'a mut [T]; MAX_SLOTS],
    scratch: &'a mut [T],
}

impl<T: Real> Pass<'_, T> {
    /// Updates every element, from other values than the variable's own if there are; whether
    /// gradient and results are finite.
    // P-25
    pub(super) fn dense(
        &self,
        from: Option<ArrayViewD<'_, T>>,
        mut variable: ArrayViewMutD<'_, T>,
        slots: &mut [ArrayD<T>],
        gradient: &dyn DenseGradient<T>,
        scratch: &mut Vec<T>,
    ) -> bool {
        let from = from.as_ref();
        let slice = from.and_then(|from| from.as_slice());
        if let (Some(from), false) = (from, slice.is_some() && variable.is_standard_layout()) {
            variable.assign(from);
        }
        if let Some(elements) = variable.as_slice_mut() {
            return self.elements((slice, elements), slots, gradient, scratch);
        }
        let mut elements: Vec<T> = variable.iter().copied().collect();
        let finite = self.elements((None, &mut elements), slots, gradient, scratch);
        variable.iter_mut().zip(elements).for_each(|(to, from)| *to = from);
        finite
    }

    fn elements(
        &self,
        (from, variable): (Option<&[T]>, &mut [T]),
        slots: &mut [ArrayD<T>],
        gradient: &dyn DenseGradient<T>,
        scratch: &mut Vec<T>,
    ) -> bool {
        let lent = gradient.lend().filter(|all| all.len() == variable.len());
        let ways = self.parts.ways.min(variable.len() / SMALLEST_PART).max(1);
        if lent.is_none() {
            scratch.resize((ways * TILE).min(variable.len()), T::zero());
        }
        let slots = cut(slots, &(0..variable.len()));
        let mut span = Span { start: 0, variable, slots, scratch };
        self.spread(&mut span, ways, &Source { from, gradient, lent })
    }

    /// Cuts the span into so many parts of one size, and updates them side by side.
    fn spread(&self, span: &mut Span<'_, T>, ways: usize, source: &Source<'_, T>) -> bool {
        if ways < 2 {
            return self.tiles(span, source);
        }
        let (mut left, mut right) = span.split(ways / 2, ways);
        let (mut first, mut second) = (false, false);
        (self.parts.join)(&mut || first = self.spread(&mut left, ways / 2, source), &mut || {
            second = self.spread(&mut right, ways - ways / 2, source);
        });
        first & second
    }

    fn tiles(&self, span: &mut Span<'_, T>, source: &Source<'_, T>) -> bool {
        let mut finite = true;
        let mut start = span.start;
        let mut slots = span.slots.each_mut().map(|slot| slot.chunks_mut(TILE));
        for variable in span.variable.chunks_mut(TILE) {
            let end = start + variable.len();
            let gradient = match source.lent {
                Some(all) => &all[start..end],
                None => {
                    let tile = &mut span.scratch[..variable.len()];
                    source.gradient.read(start, tile);
                    &*tile
                }
            };
            if let Some(from) = source.from {
                // The tile stays in the second cache until it is updated.
                variable.copy_from_slice(&from[start..end]);
            }
            let slots = slots.each_mut().map(|slot| slot.next().unwrap_or_default());
            finite &= self.update(Tile { variable, slots, gradient });
            start = end;
        }
        finite
    }

    fn update(&self, tile: Tile<'_, T>) -> bool {
        self.optimizer.update_checked(&self.step, tile)
    }

    /// Updates the named rows, and no others; whether gradient and results are finite.
    pub(super) fn rows(
        &self,
        mut variable: ArrayViewMutD<'_, T>,
        slots: &mut [ArrayD<T>],
        gradient: &CanonicalRows<'_, T>,
        scratch: &mut Vec<T>,
    ) -> bool {
        let mut finite = true;
        for (index, gradient) in gradient.iter() {
            let range = index * gradient.len()..(index + 1) * gradient.len();
            let slots = cut(slots, &range);
            let mut row = variable.index_axis_mut(Axis(0), index);
            if let Some(variable) = row.as_slice_mut() {
                finite &= self.update(Tile { variable, slots, gradient });
            } else {
                scratch.clear();
                scratch.extend(row.iter().copied());
                finite &= self.update(Tile { variable: scratch, slots, gradient });
                row.iter_mut().zip(scratch.iter()).for_each(|(to, &from)| *to = from);
            }
        }
        finite
    }
}

/// A gradient, and its elements if they lie in memory; and the variable's values if they lie
/// elsewhere than their destination.
struct Source<'a, T> {
    from: Option<&'a [T]>,
    gradient: &'a dyn DenseGradient<T>,
    lent: Option<&'a [T]>,
}

impl<T> Span<'_, T> {
    /// The first `left` of `ways` shares of it, and the others.
    fn split(&mut self, left: usize, ways: usize) -> (Span<'_, T>, Span<'_, T>) {
        let at = self.variable.len() / ways * left;
        let (variable, later) = self.variable.split_at_mut(at);
        let mut slots = self.slots.each_mut().map(|slot| slot.split_at_mut(at.min(slot.len())));
        let (scratch, spare) = self.scratch.split_at_mut(self.scratch.len() / ways * left);
        let first = slots.each_mut().map(|(first, _)| mem::take(first));
        let second = slots.map(|(_, second)| second);
        let start = self.start;
        (
            Span { start, variable, slots: first, scratch },
            Span { start: start + at, variable: later, slots: second, scratch: spare },
        )
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
