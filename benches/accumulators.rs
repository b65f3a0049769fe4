//! Pushes and takes, dense and sparse: the table's rows, and eager against held sums.

use std::hint::black_box;

use accum_core::{
    DenseAccumulator, DenseOptions, IndexedSlices, Reduction, SparseAccumulator, SparseOptions,
    Summation,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayD};

mod rows;

const REPLICAS: i64 = 16;

fn table(criterion: &mut Criterion) {
    rows::bench(criterion, &["dense_", "sparse_", "first_push", "take_", "mean_", "ceiling/"]);
}

/// Sixteen owned gradients pushed, their mean taken: when is the adding better done?
fn dense_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense_step_16_owned");
    for size in [256, 262_144] {
        group.throughput(Throughput::Bytes(size as u64 * 4 * 16));
        for (name, summation) in [("eager", Summation::Eager), ("held", Summation::Held)] {
            let options = DenseOptions { summation, ..DenseOptions::default() };
            let mut accumulator =
                DenseAccumulator::<f32>::with_options([size], Reduction::Mean, options);
            group.bench_function(BenchmarkId::new(name, size * 4), |bench| {
                bench.iter_batched(
                    || vec![Array1::<f32>::ones(size).into_dyn(); 16],
                    |gradients: Vec<ArrayD<f32>>| {
                        let step = accumulator.global_step();
                        for gradient in gradients {
                            black_box(accumulator.apply(gradient, step).is_ok());
                        }
                        accumulator.try_take(REPLICAS).map(|sum| sum.map(|sum| sum.into_value()))
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Sixteen replicas push some random rows of a million, the mean is taken: eager against held.
fn sparse_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sparse_step_16_owned");
    group.sample_size(10);
    for rows in [1_000_usize, 20_000] {
        group.throughput(Throughput::Elements(rows as u64 * 16));
        for (name, summation) in [("eager", Summation::Eager), ("held", Summation::Held)] {
            let options = SparseOptions { summation, ..SparseOptions::default() };
            let mut accumulator =
                SparseAccumulator::<f32>::with_options([1_000_000, 64], Reduction::Mean, options);
            group.bench_function(BenchmarkId::new(name, rows), |bench| {
                bench.iter_batched(
                    || (0..16).map(|replica| slices(rows, replica)).collect::<Vec<_>>(),
                    |gradients| {
                        let step = accumulator.global_step();
                        for gradient in gradients {
                            black_box(accumulator.apply(gradient, step).is_ok());
                        }
                        accumulator.try_take(REPLICAS).map(|sum| sum.map(|sum| sum.into_value()))
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// Rows scattered over a million by a multiplier that is coprime to it.
fn slices(rows: usize, replica: usize) -> IndexedSlices<f32> {
    let index = |row: usize| ((row * 7_919 + replica * 104_729) * 48_271 % 1_000_000) as i64;
    let indices = (0..rows).map(index).collect();
    let values = Array2::ones((rows, 64));
    IndexedSlices::new(indices, values, None).expect("one row an index")
}

criterion_group!(benches, table, dense_step, sparse_step);
criterion_main!(benches);
