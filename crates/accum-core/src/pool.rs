//! Reused buffers: lent to a replica, pushed, given back, lent again.
//!
//! Not an allocator: it finds free arrays by their exact shape, among few. Invariant: an array is
//! either in the pool or with one owner, and the pool keeps no more than its limit; it also keeps a
//! few lists for sparse sums.

use std::fmt;
use std::ops::{Deref, DerefMut};

use ndarray::ArrayD;

use crate::Element;
use crate::sync::{Arc, Mutex, lock};

/// A pool of gradient buffers; clones share it.
///
/// ```
/// use accum_core::{BufferPool, DenseAccumulator, DenseOptions, Reduction, Summation};
///
/// let pool = BufferPool::<f32>::new(4);
/// let mut acc = DenseAccumulator::new([3], Reduction::Mean);
/// for _ in 0..2 {
///     let mut gradient = pool.lend(&[3]);
///     gradient.fill(1.0);
///     assert!(acc.apply(gradient, 0)?.is_accepted());
/// }
/// assert_eq!(pool.free(), 1, "the first became the sum, the second came back");
/// let sum = acc.try_take(2)?.expect("two came");
/// pool.give(sum.into_value());
/// assert_eq!(pool.free(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BufferPool<E: Element> {
    shelf: Arc<Mutex<Shelf<E>>>,
}

struct Shelf<E> {
    free: Vec<ArrayD<E>>,
    max_free: usize,
    /// A sparse sum's working memory beside its values.
    words: Vec<Vec<u64>>,
}

/// How many lists of words are kept: a sparse sum works with so many.
const LISTS: usize = 3;

impl<E: Element> BufferPool<E> {
    /// An empty pool that keeps at most `max_free` unused buffers.
    pub fn new(max_free: usize) -> Self {
        let shelf = Shelf { free: Vec::new(), max_free, words: Vec::new() };
        Self { shelf: Arc::new(Mutex::new(shelf)) }
    }

    /// A buffer of this shape: zeros when new, otherwise holding what its last owner left.
    pub fn lend(&self, shape: &[usize]) -> Lent<E> {
        let found = {
            let mut shelf = lock(&self.shelf);
            let at = shelf.free.iter().rposition(|array| array.shape() == shape);
            at.map(|at| shelf.free.swap_remove(at))
        };
        self.adopt(found.unwrap_or_else(|| ArrayD::from_elem(shape, E::default())))
    }

    /// Lends a buffer that came from elsewhere, which then returns to this pool.
    pub fn adopt(&self, array: ArrayD<E>) -> Lent<E> {
        Lent { array, home: Some(self.clone()) }
    }

    /// Puts a buffer in, wherever it came from; it is freed when the pool is full.
    pub fn give(&self, array: ArrayD<E>) {
        let mut shelf = lock(&self.shelf);
        if shelf.free.len() < shelf.max_free {
            return shelf.free.push(array);
        }
        // Unmapping a large array takes long; no other thread should wait for it.
        drop(shelf);
        drop(array);
    }

    /// The memory of a free buffer for `len` elements, with arbitrary contents; new when there is
    /// none.
    pub(crate) fn room(&self, len: usize) -> Vec<E> {
        let found = {
            let mut shelf = lock(&self.shelf);
            let best = best_fit(len, shelf.free.iter().map(|array| array.len()));
            best.map(|at| shelf.free.swap_remove(at))
        };
        let (mut room, _) = found.unwrap_or_default().into_raw_vec_and_offset();
        if room.capacity() == 0 {
            return vec![E::default(); len];
        }
        room.reserve_exact(len.saturating_sub(room.len()));
        room.resize(len, E::default());
        room
    }

    /// A list of `len` words, with arbitrary contents; new when there is none.
    pub(crate) fn words(&self, len: usize) -> Vec<u64> {
        let found = {
            let mut shelf = lock(&self.shelf);
            let best = best_fit(len, shelf.words.iter().map(Vec::capacity));
            best.map(|at| shelf.words.swap_remove(at))
        };
        let mut words = found.unwrap_or_default();
        words.resize(len, 0);
        words
    }

    /// Puts a list of words in; it is freed when there are enough.
    pub(crate) fn give_words(&self, words: Vec<u64>) {
        let mut shelf = lock(&self.shelf);
        if shelf.words.len() < LISTS {
            return shelf.words.push(words);
        }
        drop(shelf);
        drop(words);
    }

    /// How many unused buffers it keeps.
    pub fn free(&self) -> usize {
        lock(&self.shelf).free.len()
    }
}

/// The place of the smallest one that is large enough, otherwise of the largest.
fn best_fit(len: usize, lengths: impl Iterator<Item = usize>) -> Option<usize> {
    let fit = |has: usize| if has < len { (true, len - has) } else { (false, has - len) };
    lengths.enumerate().min_by_key(|(_, has)| fit(*has)).map(|(at, _)| at)
}

impl<E: Element> Clone for BufferPool<E> {
    fn clone(&self) -> Self {
        Self { shelf: Arc::clone(&self.shelf) }
    }
}

impl<E: Element> fmt::Debug for BufferPool<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("free", &self.free()).finish_non_exhaustive()
    }
}

/// A buffer of a [`BufferPool`]; it goes back when dropped.
///
/// Pushed to an accumulator, it goes back once it was added; a stale or refused one at once. Only
/// the first of a cycle becomes the sum itself and leaves the pool with the taken value.
#[derive(Debug)]
pub struct Lent<E: Element> {
    array: ArrayD<E>,
    /// `None` once the array was taken out for good.
    home: Option<BufferPool<E>>,
}

impl<E: Element> Lent<E> {
    /// The array, for good: it does not go back by itself.
    pub fn into_array(mut self) -> ArrayD<E> {
        self.home = None;
        std::mem::take(&mut self.array)
    }
}

impl<E: Element> Deref for Lent<E> {
    type Target = ArrayD<E>;

    fn deref(&self) -> &ArrayD<E> {
        &self.array
    }
}

impl<E: Element> DerefMut for Lent<E> {
    fn deref_mut(&mut self) -> &mut ArrayD<E> {
        &mut self.array
    }
}

impl<E: Element> Drop for Lent<E> {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give(std::mem::take(&mut self.array));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_words_come_back_and_few_are_kept() {
        let pool = BufferPool::<f32>::new(0);
        (1..=4).for_each(|len| pool.give_words(vec![len; 10 * len as usize]));
        // The smallest that is large enough, else the largest; new ones are zeros.
        for (len, first) in [(15, 2), (31, 3), (1, 1), (5, 0)] {
            let words = pool.words(len);
            assert_eq!((words.len(), words[0]), (len, first));
        }
        assert_eq!(pool.free(), 0, "they are no buffers");
    }
}
