//! The engine in virtual time: simulated gradients a second, one core.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simulator::{Mode, Plan, plans, simulate};

const STEPS: u64 = 200;

/// 96 of 100 with a heavy tail, under TensorFlow's rules and the front door's, and the formula.
fn replica_steps(criterion: &mut Criterion) {
    let text = plans::carried("chen-2016").expect("is carried").text;
    let described = Plan { steps: STEPS, ..Plan::read(text).expect("is a plan") };
    let told = described
        .with(|settings| {
            settings.tell_superseded = true;
            settings.token_policy = sync_replicas::options::TokenPolicy::DiscardLeftovers;
        })
        .expect("fits");
    let ideal = Plan { mode: Mode::Ideal, ..described.clone() };
    let mut group = criterion.benchmark_group("simulator");
    for (name, plan) in [("described", described), ("told", told), ("ideal", ideal)] {
        group.throughput(Throughput::Elements(simulate(&plan).report.gradients.all()));
        group.bench_function(BenchmarkId::new("96_of_100", name), |bench| {
            bench.iter(|| simulate(&plan));
        });
    }
    group.finish();
}

criterion_group!(benches, replica_steps);
criterion_main!(benches);
