//! Rows in memory: large numbered chunks of them; a removed row leaves its place to the next.
//!
//! No row is allocated by itself, and none moves while it is there.

use prefetch_index::prefetch_index;

use crate::Number;

/// About how many bytes a chunk's values have: unused room costs no memory until it is touched, but
/// copying touches all of it.
const CHUNK: usize = 1 << 20;

/// Bytes that the memory delivers at a time, on most machines.
const LINE: usize = 64;

/// Lines of a row that are requested; the processor itself predicts the others.
const LINES: usize = 8;

#[derive(Debug)]
pub(super) struct Slab<T> {
    /// Numbers of a row.
    stride: usize,
    /// A chunk has 2 to this power of rows.
    bits: u32,
    chunks: Vec<Chunk<T>>,
    /// The most rows that were ever there at once.
    high: u32,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Chunk<T> {
    values: Box<[T]>,
    meta: Box<[Meta]>,
}

/// A row's data beside its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) key: i64,
    /// The last step that updated it.
    pub(super) step: i64,
    /// Its contributions.
    pub(super) count: u32,
}

impl<T: Number> Slab<T> {
    pub(super) fn new(stride: usize) -> Self {
        let rows = (CHUNK / (stride * size_of::<T>()).max(1)).clamp(16, 1 << 16);
        Self { stride, bits: rows.ilog2(), chunks: Vec::new(), high: 0, free: Vec::new() }
    }

    /// A place for a row, holding whatever an earlier row left there.
    ///
    /// The caller has checked that there are not too many.
    pub(super) fn insert(&mut self, meta: Meta) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            let at = self.high;
            if at as usize >> self.bits == self.chunks.len() {
                let rows = 1 << self.bits;
                self.chunks.push(Chunk {
                    values: vec![T::zero(); rows * self.stride].into(),
                    meta: vec![Meta::default(); rows].into(),
                });
            }
            self.high += 1;
            at
        });
        *self.meta_mut(at) = meta;
        at
    }

    /// The place now belongs to another row.
    pub(super) fn remove(&mut self, at: u32) {
        self.free.push(at);
    }

    pub(super) fn row(&self, at: u32) -> &[T] {
        let (chunk, row) = self.split(at);
        &self.chunks[chunk].values[row * self.stride..][..self.stride]
    }

    pub(super) fn row_mut(&mut self, at: u32) -> &mut [T] {
        let (chunk, row) = self.split(at);
        &mut self.chunks[chunk].values[row * self.stride..][..self.stride]
    }

    pub(super) fn meta(&self, at: u32) -> Meta {
        let (chunk, row) = self.split(at);
        self.chunks[chunk].meta[row]
    }

    pub(super) fn meta_mut(&mut self, at: u32) -> &mut Meta {
        let (chunk, row) = self.split(at);
        &mut self.chunks[chunk].meta[row]
    }

    /// Requests the first numbers of a row from memory.
    pub(super) fn prefetch(&self, at: u32, numbers: usize) {
        let (chunk, row) = self.split(at);
        let (values, first) = (&self.chunks[chunk].values, row * self.stride);
        let line = LINE / size_of::<T>();
        let mut next = 0;
        while next < numbers.min(LINES * line) {
            prefetch_index(values, first + next);
            next += line;
        }
    }

    fn split(&self, at: u32) -> (usize, usize) {
        let at = at as usize;
        (at >> self.bits, at & ((1 << self.bits) - 1))
    }
}
