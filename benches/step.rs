//! A whole step in one process, and the end of training with 64 replicas waiting (P-1).

use std::time::{Duration, Instant};

use benches::build;
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array1;
use sync_replicas::{Gradients, ReplicaId};

mod rows;

fn table(criterion: &mut Criterion) {
    rows::bench(criterion, &["step/", "push/"]);
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

criterion_group!(benches, table, stop);
criterion_main!(benches);
