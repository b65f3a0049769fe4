//! The sum that pushes add to, even several at once.
//!
//! A large sum is updated outside the accumulator's lock, chunk by chunk, each chunk under its own
//! lock, so that pushes run side by side. The locks are std's even for the model checker, whose
//! gradients are far too small to come here. Invariant: a push is counted before it adds, and no
//! sum is read before every push that it counts has added its whole gradient.

use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayD, IxDyn};
use range_lock::VecRangeLock;

use super::kernel::add;
use super::under_way::{Pass, UnderWay};
use crate::{Addition, Element, Gradient, HalfSum};

/// Elements of the smallest sum that is added to outside the lock.
const OPEN: usize = 1 << 17;

/// Elements of the smallest chunk: its lock costs nothing beside it.
const CHUNK: usize = 1 << 16;

/// The sum of one cycle so far.
#[derive(Debug)]
pub(super) enum Total<E: Element> {
    /// Only the holder of the accumulator adds to it.
    Closed(ArrayD<E::Sum>),
    /// Pushes may be adding to it.
    Open(Open<E>),
}

/// A large sum with the pushes that are under way.
#[derive(Debug)]
pub(super) struct Open<E: Element> {
    shape: IxDyn,
    sum: Arc<Chunked<E::Sum>>,
    adding: UnderWay,
    /// How many have been let in, so that they start at different places.
    begun: usize,
}

/// Elements that are locked range by range, and for each range a lock to wait at.
#[derive(Debug)]
struct Chunked<S> {
    elements: VecRangeLock<S>,
    chunks: Vec<Mutex<()>>,
}

/// The rest of a push once the accumulator's lock is free.
///
/// Boxed, since it is mostly nothing: otherwise a small push would move all of its bytes under the
/// lock.
#[derive(Debug)]
pub struct DenseAddition<'a, E: Element>(Option<Box<Adding<'a, E>>>);

#[derive(Debug)]
struct Adding<'a, E: Element> {
    gradient: Gradient<'a, E>,
    half_sum: HalfSum,
    begun: usize,
    // Dropped in this order: the pass says that the sum was let go.
    sum: Arc<Chunked<E::Sum>>,
    _pass: Pass,
}

impl<E: Element> Total<E> {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Closed(sum) => sum.shape(),
            Self::Open(open) => ndarray::Dimension::slice(&open.shape),
        }
    }

    /// Adds a gradient of the same shape: immediately if small; otherwise when the returned value
    /// is finished.
    pub(super) fn begin<'a>(
        &mut self,
        gradient: Gradient<'a, E>,
        half_sum: HalfSum,
    ) -> DenseAddition<'a, E> {
        if let Self::Closed(sum) = self
            && sum.len() >= OPEN
        {
            *self = Self::Open(Open::new(std::mem::take(sum)));
        }
        match self {
            Self::Closed(sum) => {
                add_array(sum, &gradient, half_sum);
                DenseAddition::done()
            }
            Self::Open(open) => {
                open.begun += 1;
                let (sum, begun) = (Arc::clone(&open.sum), open.begun);
                let pass = open.adding.begin();
                let adding = Adding { gradient, half_sum, begun, sum, _pass: pass };
                DenseAddition(Some(Box::new(adding)))
            }
        }
    }

    /// Waits for the pushes under way, each of which is a thread that is adding.
    pub(super) fn settle(&mut self) -> &mut ArrayD<E::Sum> {
        if let Self::Open(open) = self {
            *self = Self::Closed(open.close());
        }
        match self {
            Self::Closed(sum) => sum,
            Self::Open(_) => unreachable!("it was just closed"),
        }
    }

    pub(super) fn into_array(mut self) -> ArrayD<E::Sum> {
        std::mem::take(self.settle())
    }
}

impl<E: Element> Open<E> {
    /// Of an array in standard layout.
    fn new(sum: ArrayD<E::Sum>) -> Self {
        let (shape, len) = (IxDyn(sum.shape()), sum.len());
        let (elements, offset) = sum.into_raw_vec_and_offset();
        let elements = match offset.unwrap_or(0) {
            0 if elements.len() == len => elements,
            offset => elements[offset..offset + len].to_vec(),
        };
        let sum = Arc::new(Chunked::new(elements));
        Self { shape, sum, adding: UnderWay::default(), begun: 0 }
    }

    fn close(&mut self) -> ArrayD<E::Sum> {
        self.adding.wait();
        let sum = std::mem::replace(&mut self.sum, Arc::new(Chunked::new(Vec::new())));
        // Every push has released it, so it is ours alone.
        let sum = Arc::into_inner(sum).expect("no push is under way");
        let elements = sum.elements.into_inner();
        ArrayD::from_shape_vec(self.shape.clone(), elements).unwrap_or_default()
    }
}

impl<S> Chunked<S> {
    fn new(elements: Vec<S>) -> Self {
        let chunks = elements.len().div_ceil(chunk_of(elements.len()));
        let chunks = (0..chunks).map(|_| Mutex::default()).collect();
        Self { elements: VecRangeLock::new(elements), chunks }
    }
}

impl<E: Element> DenseAddition<'_, E> {
    pub(super) fn done() -> Self {
        Self(None)
    }
}

impl<E: Element> Addition for DenseAddition<'_, E> {
    fn finish(self) {
        if let Some(adding) = self.0 {
            adding.add_chunks();
        }
    }
}

impl<E: Element> Adding<'_, E> {
    /// Adds every chunk once: first those that no other push adds to, then the rest, each when it
    /// is free.
    fn add_chunks(&self) {
        let gradient = self.gradient.elements();
        let chunks = self.sum.chunks.len();
        let start = self.begun % 2 * (chunks / 2);
        let mut left = 0_u64;
        for nth in (start..chunks).chain(0..start) {
            match self.sum.chunks[nth].try_lock() {
                Ok(_held) => self.add_chunk(nth, &gradient),
                Err(_) => left |= 1 << nth,
            }
        }
        for nth in (0..chunks).filter(|nth| left >> nth & 1 == 1) {
            let _held = self.sum.chunks[nth].lock().unwrap_or_else(PoisonError::into_inner);
            self.add_chunk(nth, &gradient);
        }
    }

    fn add_chunk(&self, nth: usize, gradient: &[E]) {
        let chunk = chunk_of(gradient.len());
        let range = nth * chunk..gradient.len().min((nth + 1) * chunk);
        let sum = self.sum.elements.try_lock(range.clone());
        let mut sum = sum.expect("nobody else is at this range, since its chunk is locked");
        add::<E>(&mut sum, &gradient[range], self.half_sum);
    }
}

/// The size of a chunk, such that a word has a bit for each chunk.
fn chunk_of(elements: usize) -> usize {
    elements.div_ceil(u64::BITS as usize).max(CHUNK)
}

/// `sum += gradient`, in any layout.
pub(super) fn add_array<E: Element>(
    sum: &mut ArrayD<E::Sum>,
    gradient: &Gradient<'_, E>,
    half_sum: HalfSum,
) {
    let view = gradient.view();
    match (sum.as_slice_mut(), view.as_slice()) {
        (Some(sum), Some(gradient)) => add::<E>(sum, gradient, half_sum),
        _ => match half_sum {
            HalfSum::Single => sum.zip_mut_with(&view, |sum, &add| *sum = *sum + add.widen()),
            HalfSum::Reference => {
                sum.zip_mut_with(&view, |sum, &add| *sum = E::round(*sum + add.widen()));
            }
        },
    }
}
