//! Some rows of a million, from several replicas: pushed, and their mean taken.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accum_core::{
    BufferPool, IndexedSlices, Reduction, SparseAccumulator, SparseConditionalAccumulator,
    SparseOptions, Summation,
};
use embedding_table::place;
use ndarray::Array2;

use super::on_pool;
use crate::Work;

const TABLE_ROWS: u64 = 1_000_000;
const WIDTH: usize = 64;

/// N gradients of so many random rows pushed to a shared accumulator, their mean taken.
///
/// The replicas keep their gradients: shared ones when they are held until the take, borrowed ones
/// when they are added at the push. The mean's memory goes back when it was looked at.
pub(crate) struct PushesAndTake {
    accumulator: SparseConditionalAccumulator<f32>,
    summation: Summation,
    gradients: Vec<Arc<IndexedSlices<f32>>>,
    pool: BufferPool<f32>,
}

impl PushesAndTake {
    pub(crate) fn new(rows: usize, replicas: u64, summation: Summation, ways: usize) -> Self {
        let options = SparseOptions { summation, ..SparseOptions::default() };
        let shape = [TABLE_ROWS as usize, WIDTH];
        let pool = BufferPool::new(3);
        let accumulator = SparseAccumulator::with_options(shape, Reduction::Mean, options)
            .with_pool(pool.clone())
            .side_by_side(ways, on_pool)
            .into();
        let gradients = (0..replicas).map(|seed| Arc::new(random(rows, seed))).collect();
        Self { accumulator, summation, gradients, pool }
    }
}

impl Work for PushesAndTake {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let step = self.accumulator.global_step();
            for gradient in &self.gradients {
                let applied = match self.summation {
                    Summation::Eager => self.accumulator.apply_grad(&**gradient, step),
                    _ => self.accumulator.apply_grad(Arc::clone(gradient), step),
                };
                black_box(applied).expect("it fits");
            }
            let taken = self.accumulator.try_take_grad(self.gradients.len() as i64);
            let taken = black_box(taken).expect("it can be taken").expect("enough are held");
            self.pool.give(taken.value.values);
        }
        begun.elapsed()
    }
}

/// Random rows in no order, some perhaps twice, the same in every run.
fn random(rows: usize, seed: u64) -> IndexedSlices<f32> {
    let index = |row: usize| (place((seed << 32 | row as u64).cast_signed()) % TABLE_ROWS) as i64;
    let indices = (0..rows).map(index).collect();
    IndexedSlices::new(indices, Array2::ones((rows, WIDTH)), None).expect("one row an index")
}
