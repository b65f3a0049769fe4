//! Arrays of given numbers, laid out in memory in every way that a gradient may be.
//!
//! Invariant: whatever the layout, the elements in logical order are the numbers in order.

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use proptest::prelude::*;

/// How the elements lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// The first axis outermost, without gaps.
    Rows,
    /// Transposed: the first axis innermost.
    Columns,
    /// Every axis from its end.
    Reversed,
    /// A slice: every second element of every axis of something larger.
    Gaps,
}

pub fn layout() -> impl Strategy<Value = Layout> {
    use Layout::{Columns, Gaps, Reversed, Rows};
    prop_oneof![Just(Rows), Just(Columns), Just(Reversed), Just(Gaps)]
}

/// `number(k)` for each *k*, counted along rows, in that shape and layout.
pub fn array<E: Clone + Default>(
    shape: &[usize],
    layout: Layout,
    number: impl Fn(usize) -> E,
) -> ArrayD<E> {
    let map: fn(usize) -> usize = match layout {
        Layout::Gaps => |len| 2 * len + 1,
        _ => |len| len,
    };
    let mut axes: Vec<usize> = shape.iter().map(|len| map(*len)).collect();
    if matches!(layout, Layout::Columns) {
        axes.reverse();
    }
    let mut array = ArrayD::from_elem(IxDyn(&axes), E::default());
    match layout {
        Layout::Rows => {}
        Layout::Columns => array = array.reversed_axes(),
        Layout::Reversed => (0..shape.len()).for_each(|axis| array.invert_axis(Axis(axis))),
        Layout::Gaps => (0..shape.len()).for_each(|axis| {
            array.slice_axis_inplace(Axis(axis), Slice::new(1, None, 2));
        }),
    }
    assert_eq!(array.shape(), shape);
    array.iter_mut().enumerate().for_each(|(k, element)| *element = number(k));
    array
}
