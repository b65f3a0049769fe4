//! Pushes and takes, dense and sparse; throughput counts the gradients' own bytes or rows.

use std::hint::black_box;

use accum_core::{
    DenseAccumulator, DenseOptions, IndexedSlices, Reduction, SparseAccumulator, SparseOptions,
    Summation,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2, ArrayD};

const REPLICAS: i64 = 16;

/// Gradients of 1 KB, 1 MB, 16 MB of `f32`.
const SIZES: [usize; 3] = [256, 262_144, 4_194_304];

fn options(summation: Summation) -> DenseOptions {
    DenseOptions { summation, ..DenseOptions::default() }
}

/// One gradient added to a sum that is there.
fn dense_push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense_push");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64 * 4));
        let gradient = Array1::<f32>::ones(size).into_dyn();
        group.bench_with_input(BenchmarkId::new("eager", size * 4), &size, |bench, &size| {
            let mut accumulator = DenseAccumulator::<f32>::with_options(
                [size],
                Reduction::Mean,
                options(Summation::Eager),
            );
            bench.iter(|| accumulator.apply(gradient.view(), 0));
        });
    }
    group.finish();
}

/// Sixteen owned gradients pushed, their mean taken.
fn dense_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense_step_16");
    for size in [SIZES[0], SIZES[1]] {
        group.throughput(Throughput::Bytes(size as u64 * 4 * 16));
        for (name, summation) in [("eager", Summation::Eager), ("held", Summation::Held)] {
            let mut accumulator =
                DenseAccumulator::<f32>::with_options([size], Reduction::Mean, options(summation));
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

/// Sixteen replicas push some random rows of a million, the mean is taken.
fn sparse_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sparse_step_16");
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

criterion_group!(benches, dense_push, dense_step, sparse_step);
criterion_main!(benches);
