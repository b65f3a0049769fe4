//! A whole step in one process, and the end of training with 64 replicas waiting (P-1).

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array1;
use optim::Sgd;
use sync_replicas::{Gradients, ReplicaId, SyncReplicas, Trainer, Variables};

fn build(replicas: usize, parameters: usize) -> Trainer<f32> {
    let variables = Variables::new().with("w", Array1::<f32>::zeros(parameters)).expect("one name");
    SyncReplicas::new(Sgd::new(0.1))
        .replicas_to_aggregate(replicas)
        .build(variables)
        .expect("the numbers fit")
}

/// Fetch, push, close, update, token; all replicas must contribute.
fn whole_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(1));
    for (replicas, parameters) in
        [(1, 1_000), (4, 1_000), (16, 1_000), (1, 1_000_000), (4, 1_000_000)]
    {
        let name = format!("{replicas}_replicas");
        group.bench_function(BenchmarkId::new(name, parameters), |bench| {
            bench.iter_custom(|steps| run(replicas, parameters, steps));
        });
    }
    group.finish();
}

/// How long a number of steps takes, replicas as threads.
fn run(replicas: u64, parameters: usize, steps: u64) -> Duration {
    let trainer = build(replicas as usize, parameters);
    let gradient = Array1::<f32>::from_elem(parameters, 0.01);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for id in 0..replicas {
            let mut replica = trainer.replica(ReplicaId::new(id)).expect("it is free");
            let (gradient, stop) = (&gradient, trainer.stop_handle());
            scope.spawn(move || {
                while let Some(step) = replica.next_step().expect("nobody is overdue") {
                    if step.global_step().get() >= steps as i64 {
                        stop.stop("enough");
                        break;
                    }
                    step.push(Gradients::new().dense("w", gradient.clone())).expect("it fits");
                }
            });
        }
    });
    begun.elapsed()
}

/// From the stop to the last of 64 waiting replicas having returned; must stay under 50 ms.
fn stop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stop");
    group.sample_size(20);
    group.bench_function("64_waiting_replicas", |bench| {
        bench.iter_custom(|rounds| (0..rounds).map(|_| stop_once(64)).sum());
    });
    group.finish();
}

fn stop_once(waiting: u64) -> Duration {
    // One more than wait: the step can never close.
    let trainer = build(waiting as usize + 1, 10);
    let held = trainer.replica(ReplicaId::new(waiting)).expect("it is free");
    let elapsed = std::thread::scope(|scope| {
        for id in 0..waiting {
            let mut replica = trainer.replica(ReplicaId::new(id)).expect("it is free");
            scope.spawn(move || {
                let step = replica.next_step().expect("no deadline").expect("it has begun");
                step.push(Gradients::new().dense("w", Array1::zeros(10))).expect("it fits");
                assert!(replica.next_step().expect("no error at a normal end").is_none());
            });
        }
        while trainer.num_waiting() < waiting as usize {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        trainer.stop_handle().stop("enough");
        begun
    })
    .elapsed();
    drop(held);
    elapsed
}

criterion_group!(benches, whole_step, stop);
criterion_main!(benches);
