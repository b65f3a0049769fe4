//! The sparse gradients of one cycle, merged already or still apart, and how they become one sum.
//!
//! No checks here: the caller has. Invariant: for each row, each gradient's own repeated rows are
//! added first and then the gradients one after the other, so that early and late merges give the
//! same bits.

use std::sync::Arc;

use super::division::Division;
use super::merge::Merge;
use super::union::Union;
use crate::join::Ways;
use crate::slices::rows::is_canonical;
use crate::{
    BufferPool, Element, IndexedSlices, SparseGradient, SparseMerge, SparseOptions, Summation,
};

#[derive(Debug)]
pub(super) enum Parts<E: Element> {
    /// [`Summation::Eager`]: the rows so far.
    Sum(Union<E>),
    /// The others: every gradient with its key, in arrival order.
    Held(Vec<(u64, Arc<IndexedSlices<E>>)>),
}

/// The source of a sum's memory, and how the work on it is spread.
#[derive(Clone, Debug)]
pub(super) struct Means<E: Element> {
    pub(super) pool: Option<BufferPool<E::Sum>>,
    pub(super) ways: Ways,
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
    pub(super) fn drain(&mut self, means: &Means<E>) -> Self {
        match self {
            Self::Sum(sum) => Self::Sum(sum.drain(means.pool.as_ref())),
            Self::Held(held) => Self::Held(std::mem::take(held)),
        }
    }

    /// The first row that none of the indices is at or beyond.
    pub(super) fn end(&self) -> usize {
        let end = |indices: &[i64]| indices.iter().max().map_or(0, |last| last.saturating_add(1));
        let end = match self {
            Self::Sum(sum) => end(sum.indices.as_slice()),
            Self::Held(held) => held.iter().map(|(_, it)| end(&it.indices)).max().unwrap_or(0),
        };
        usize::try_from(end).unwrap_or(0)
    }

    /// Puts earlier gradients before it. Both sides were built under the same options.
    pub(super) fn prepend(&mut self, earlier: Self, options: SparseOptions) {
        match (self, earlier) {
            (Self::Sum(sum), Self::Sum(earlier)) => sum.prepend(earlier, options),
            (Self::Held(held), Self::Held(earlier)) => _ = held.splice(..0, earlier),
            (Self::Sum(_), Self::Held(_)) | (Self::Held(_), Self::Sum(_)) => {}
        }
    }

    /// All rows in one union, divided if a divisor is given; ascending, unless the reference's
    /// merge left them otherwise.
    pub(super) fn sum_up(
        self,
        row_shape: &[usize],
        options: SparseOptions,
        division: Option<Division>,
        means: &Means<E>,
    ) -> Union<E> {
        let canonical = options.merge == SparseMerge::Canonical;
        let pool = means.pool.as_ref();
        let mut held = match self {
            Self::Held(held) => held,
            Self::Sum(mut sum) => {
                sum.finish(canonical, division, pool);
                return sum;
            }
        };
        if options.summation == Summation::Ordered {
            held.sort_by_key(|(key, _)| *key);
        }
        let alone = held.len() == 1 && is_canonical(&held[0].1.indices);
        if alone || !canonical {
            let mut union = Union::empty(None);
            for (_, gradient) in held {
                // An owned gradient has no other holder, so its memory can become the sum's.
                let gradient = match Arc::try_unwrap(gradient) {
                    Ok(owned) => SparseGradient::Owned(owned),
                    Err(shared) => SparseGradient::Shared(shared),
                };
                union.add(gradient, options);
            }
            union.finish(false, division, pool);
            return union;
        }
        let gradients = held.iter().map(|(_, gradient)| &**gradient);
        Merge::of(gradients, row_shape, options.half_sum, division).run(means.ways, pool)
    }
}
