//! The rows of a union put into ascending order and divided, in as few passes as the memory allows.
//!
//! Nothing is added up here. Invariant: every row ends where its index does.

use std::marker::PhantomData;
use std::mem;

use ndarray::{ArrayD, IxDyn};

use super::division::Division;
use super::union::Union;
use crate::simd::widest;
use crate::slices::rows::is_canonical;
use crate::{BufferPool, Element};

impl<E: Element> Union<E> {
    /// Divides every row, and makes the indices ascend when `sort`.
    ///
    /// With a pool that is one pass, from the rows' memory into one that was used before.
    pub(super) fn finish(
        &mut self,
        sort: bool,
        division: Option<Division>,
        pool: Option<&BufferPool<E::Sum>>,
    ) {
        if !sort || is_canonical(&self.indices) {
            self.divide(division);
            return;
        }
        let mut order: Vec<(i64, usize)> = self.indices.iter().copied().zip(0..).collect();
        radsort::sort_by_key(&mut order, |(index, _)| *index);
        self.counts = order.iter().map(|(_, at)| self.counts[*at]).collect();
        self.indices.iter_mut().zip(&order).for_each(|(to, (index, _))| *to = *index);
        match pool {
            Some(pool) => self.gather(&order, division, pool),
            None => {
                self.permute(&mut order);
                self.divide(division);
            }
        }
    }

    fn divide(&mut self, division: Option<Division>) {
        let Some(division) = division else { return };
        let rows = self.rows.chunks_mut(self.width.max(1)).zip(&self.counts);
        let rows = rows.map(|(row, had)| (row, None, *had));
        widest(Pass::<E, _> { rows, division: Some(division), element: PhantomData });
    }

    /// Copies each row to where `order` wants it.
    fn gather(
        &mut self,
        order: &[(i64, usize)],
        division: Option<Division>,
        pool: &BufferPool<E::Sum>,
    ) {
        let mut sorted = pool.room(self.rows.len());
        let rows = sorted.chunks_mut(self.width.max(1)).zip(order).zip(&self.counts);
        let rows = rows.map(|((to, (_, from)), had)| (to, Some(self.row(*from)), *had));
        widest(Pass::<E, _> { rows, division, element: PhantomData });
        let unsorted = mem::replace(&mut self.rows, sorted);
        let shape = IxDyn(&[unsorted.len()]);
        pool.give(ArrayD::from_shape_vec(shape, unsorted).unwrap_or_default());
    }

    /// Moves the rows to where `order` says each comes from, in place, circle by circle.
    ///
    /// A second buffer would cost more than it spares: its pages are new to the process.
    fn permute(&mut self, order: &mut [(i64, usize)]) {
        let width = self.width;
        let mut spare = vec![E::Sum::default(); width];
        for start in 0..order.len() {
            if order[start].1 == start {
                continue;
            }
            spare.copy_from_slice(self.row(start));
            let mut to = start;
            loop {
                let from = mem::replace(&mut order[to].1, to);
                if from == start {
                    self.rows[to * width..(to + 1) * width].copy_from_slice(&spare);
                    break;
                }
                self.rows.copy_within(from * width..(from + 1) * width, to * width);
                to = from;
            }
        }
    }
}

/// A pass over rows, each with where it is copied from, if it is, and how many gradients had it.
///
/// A type for [`widest`] to compile: a closure of this length would not be inlined, and would then
/// be compiled for the plainest machine.
struct Pass<E, I> {
    rows: I,
    division: Option<Division>,
    element: PhantomData<E>,
}

impl<'r, E, I> pulp::WithSimd for Pass<E, I>
where
    E: Element,
    I: Iterator<Item = (&'r mut [E::Sum], Option<&'r [E::Sum]>, u64)>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (to, from, had) in self.rows {
            if let Some(from) = from {
                to.copy_from_slice(from);
            }
            if let Some(division) = &self.division {
                division.divide::<E>(to, had);
            }
        }
    }
}
