//! The update alone: the table's rows, all optimizers, and the sparse updates.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use optim::{
    Adagrad, Adam, Ftrl, Mean, Momentum, Optimizer, OptimizerState, RmsProp, Sgd, SparseGradient,
};

mod rows;

fn table(criterion: &mut Criterion) {
    rows::bench(criterion, &["update/"]);
}

fn all() -> Vec<(&'static str, Box<dyn Optimizer<f32>>)> {
    vec![
        ("sgd", Box::new(Sgd::new(0.1))),
        ("momentum", Box::new(Momentum::new(0.1, 0.9))),
        ("adam", Box::new(Adam::new(1e-3))),
        ("adagrad", Box::new(Adagrad::new(0.1))),
        ("rmsprop", Box::new(RmsProp::new(1e-3))),
        ("ftrl", Box::new(Ftrl::new(0.1))),
    ]
}

fn dense(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("update_dense");
    for size in [1_000_usize, 1_000_000] {
        group.throughput(Throughput::Elements(size as u64));
        let gradient = Array1::<f32>::from_elem(size, 0.01);
        for (name, optimizer) in all() {
            let mut state = OptimizerState::new(optimizer).expect("good parameters");
            state.add_variable("w", &[size]).expect("a new name");
            let mut w = Array1::<f32>::zeros(size).into_dyn();
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| {
                    let mean = Mean { sum: gradient.view(), divisor: 4.0 };
                    state.apply_dense("w", w.view_mut(), &mean)
                });
            });
        }
    }
    group.finish();
}

fn sparse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("update_sparse");
    let rows = 1_000;
    group.throughput(Throughput::Elements(rows as u64));
    let indices: Vec<i64> = (0..rows as i64).map(|row| row * 97).collect();
    let values = Array2::<f32>::from_elem((rows, 64), 0.01).into_dyn();
    let lazy: Vec<(_, Box<dyn Optimizer<f32>>)> = vec![
        ("sgd", Box::new(Sgd::new(0.1))),
        ("adagrad", Box::new(Adagrad::new(0.1))),
        ("lazy_adam", Box::new(optim::LazyAdam::new(1e-3))),
    ];
    for (name, optimizer) in lazy {
        let mut state = OptimizerState::new(optimizer).expect("good parameters");
        state.add_variable("w", &[100_000, 64]).expect("a new name");
        let mut w = Array2::<f32>::zeros((100_000, 64)).into_dyn();
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let gradient = SparseGradient { indices: &indices, rows: values.view() };
                state.apply_sparse("w", w.view_mut(), gradient)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, table, dense, sparse);
criterion_main!(benches);
