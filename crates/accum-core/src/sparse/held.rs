//! The sparse gradients of one cycle, merged already or still apart, and the merge of them all.
//!
//! No checks here: the caller has. Invariant: for each row, each gradient's own repeated rows are
//! added first and then the gradients one after the other, so that early and late merges give the
//! same bits.

use std::borrow::Cow;

use super::union::Union;
use crate::slices::rows::{Rows, is_canonical};
use crate::{Element, IndexedSlices, SparseMerge, SparseOptions, Summation};

#[derive(Debug)]
pub(super) enum Parts<E: Element> {
    /// [`Summation::Eager`]: the rows so far.
    Sum(Union<E>),
    /// The others: every gradient with its key, in arrival order.
    Held(Vec<(u64, IndexedSlices<E>)>),
}

impl<E: Element> Parts<E> {
    /// For indices below `rows`, when that is known.
    pub(super) fn empty(summation: Summation, rows: Option<usize>) -> Self {
        match summation {
            Summation::Eager => Self::Sum(Union::empty(rows)),
            Summation::Held | Summation::Ordered => Self::Held(Vec::new()),
        }
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Self {
        match self {
            Self::Sum(sum) => Self::Sum(sum.drain()),
            Self::Held(held) => Self::Held(std::mem::take(held)),
        }
    }

    /// Puts what came earlier before it. Both sides were built under the same options.
    pub(super) fn prepend(&mut self, earlier: Self, options: SparseOptions) {
        match (self, earlier) {
            (Self::Sum(sum), Self::Sum(earlier)) => sum.prepend(earlier, options),
            (Self::Held(held), Self::Held(earlier)) => _ = held.splice(..0, earlier),
            (Self::Sum(_), Self::Held(_)) | (Self::Held(_), Self::Sum(_)) => {}
        }
    }
}

/// All rows in one union; ascending, save where the reference's merge left them otherwise.
pub(super) fn sum_up<E: Element>(
    parts: Parts<E>,
    row_shape: &[usize],
    options: SparseOptions,
) -> Union<E> {
    let mut held = match parts {
        Parts::Sum(mut sum) => {
            if options.merge == SparseMerge::Canonical {
                sum.sort();
            }
            return sum;
        }
        Parts::Held(held) => held,
    };
    if options.summation == Summation::Ordered {
        held.sort_by_key(|(key, _)| *key);
    }
    let mut held: Vec<_> = held.into_iter().map(|(_, gradient)| gradient).collect();
    let alone = held.len() == 1 && is_canonical(&held[0].indices);
    if alone || options.merge == SparseMerge::Reference {
        let mut union = Union::empty(None);
        for gradient in held.drain(..) {
            union.add(Cow::Owned(gradient), options);
        }
        return union;
    }
    merge_all(&held, row_shape, options)
}

/// Merges any number of gradients in one go: every row is read once and added in its final place.
fn merge_all<E: Element>(
    held: &[IndexedSlices<E>],
    row_shape: &[usize],
    options: SparseOptions,
) -> Union<E> {
    let width = row_shape.iter().product();
    let rows: Vec<Rows<'_, E>> = held.iter().map(Rows::of).collect();
    let mut entries: Vec<(i64, u32, u32)> =
        Vec::with_capacity(rows.iter().map(|rows| rows.indices().len()).sum());
    for (nth, rows) in (0..).zip(&rows) {
        entries.extend(rows.indices().iter().zip(0..).map(|(index, at)| (*index, nth, at)));
    }
    // Stable, so that the rows of one index stay in order.
    radsort::sort_by_key(&mut entries, |(index, _, _)| *index);
    let distinct = entries.chunk_by(|a, b| a.0 == b.0).count();
    let mut union = Union::with_room(distinct, width);
    let mut scratch = Vec::new();
    let mut last = None;
    for group in entries.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (index, nth, _) = group[0];
        let own = group.iter().map(|(_, _, at)| *at as usize);
        let row = rows[nth as usize].sum_of(own, options.half_sum, &mut scratch);
        if last == Some(index) {
            union.add_last(row, width, options.half_sum);
        } else {
            union.push(index, row);
        }
        last = Some(index);
    }
    union
}
