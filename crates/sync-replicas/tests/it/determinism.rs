//! Replica order: the same bits whatever the timing (P-14), equal to a plain loop (P-3).

use std::time::Duration;

use ndarray::{Array1, Array2};
use optim::{Adam, Mean, OptimizerState};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, ReplicaId, SummationOrder, SyncReplicas,
    Variables, Work,
};

/// Least squares on made-up data; a batch is a number, and its data follow from it.
struct Regression {
    /// How long each replica dawdles before batch n, in microseconds.
    delay: fn(u64, u64) -> u64,
}

fn variables() -> Variables<f32> {
    Variables::new()
        .with("w", Array2::from_shape_fn((3, 2), |(i, j)| 0.1 * (i + 2 * j) as f32))
        .and_then(|variables| variables.with("b", Array1::zeros(2)))
        .expect("two names")
}

fn gradients(variables: &Variables<f32>, number: u64) -> Result<Gradients<f32>, BoxError> {
    let noise = |k: u64| ((number * 31 + k * 17) % 97) as f32 / 97.0 - 0.5;
    let x = Array2::from_shape_fn((4, 3), |(i, j)| noise((i * 3 + j) as u64));
    let y = Array2::from_shape_fn((4, 2), |(i, j)| noise(100 + (i * 2 + j) as u64));
    let error = x.dot(&variables.matrix("w")?) + variables.vector("b")? - y;
    let (w, b) = (x.t().dot(&error), error.sum_axis(ndarray::Axis(0)));
    Ok(Gradients::new().dense("w", w).dense("b", b))
}

impl Model<f32> for Regression {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        &number: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let delay = (self.delay)(work.replica.get(), number);
        if work.pause(Duration::from_micros(delay)) {
            return Ok(None);
        }
        let gradients = gradients(variables, number)?;
        Ok(Some(Computed { loss: 0.0, examples: 4, gradients }))
    }
}

/// Batches are found by number.
struct Numbers;

impl sync_replicas::BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

fn train(aggregate: usize, total: usize, steps: i64, delay: fn(u64, u64) -> u64) -> Variables<f32> {
    let trainer = SyncReplicas::new(Adam::new(0.01))
        .replicas_to_aggregate(aggregate)
        .total_num_replicas(total)
        .order(SummationOrder::Replica)
        .build(variables())
        .expect("the numbers fit");
    let hooks = Hooks::new().stop_at_step(steps);
    let report =
        trainer.fit(&Regression { delay }, |_: ReplicaId| Numbers, hooks).expect("it trains");
    assert_eq!(report.updates, steps.unsigned_abs());
    trainer.snapshot().variables.clone()
}

/// The same by one thread that knows nothing of replicas.
fn plain(aggregate: u64, steps: u64) -> Variables<f32> {
    let mut optimizer = OptimizerState::<f32>::new(Adam::new(0.01)).expect("a good rate");
    let mut current = variables();
    for (name, array) in variables().iter() {
        optimizer.add_variable(name, array.shape()).expect("a new name");
    }
    for step in 0..steps {
        let batches = (0..aggregate).map(|share| step * aggregate + share);
        let all: Vec<_> = batches.map(|n| gradients(&current, n).expect("it computes")).collect();
        let mut next = Variables::new();
        for (index, (name, array)) in current.iter().enumerate() {
            let of = |gradients: &Gradients<f32>| match gradients.iter().nth(index) {
                Some((_, sync_replicas::Gradient::Dense(gradient))) => gradient.clone(),
                other => panic!("{other:?}"),
            };
            let mut sum = of(&all[0]);
            all[1..].iter().for_each(|gradients| sum += &of(gradients));
            let mut array = array.clone();
            let mean = Mean { sum: sum.view(), divisor: aggregate as f32 };
            optimizer.apply_dense(name, array.view_mut(), &mean).expect("it fits");
            next = next.with(name, array).expect("a new name");
        }
        optimizer.finish_step();
        current = next;
    }
    current
}

fn even(_: u64, _: u64) -> u64 {
    0
}

fn jitter(replica: u64, number: u64) -> u64 {
    (replica * 7919 + number * 104_729) % 300
}

fn last_is_slow(replica: u64, _: u64) -> u64 {
    if replica >= 2 { 2000 } else { 0 }
}

#[test]
fn equal_to_a_plain_loop_bit_for_bit() {
    // (A, N): as many, backups, several batches a replica; P-3: one replica alone
    for (aggregate, total) in [(1, 1), (2, 2), (4, 4), (3, 5), (2, 3), (5, 2), (4, 1)] {
        let expected = plain(aggregate as u64, 40);
        for delay in [even, jitter, last_is_slow] {
            let got = train(aggregate, total, 40, delay);
            assert_eq!(got.sha256(), expected.sha256(), "A={aggregate} N={total}");
        }
    }
}

#[test]
fn arrival_order_with_one_replica_is_the_plain_optimizer() {
    // P-3, at the defaults
    let trainer = SyncReplicas::new(Adam::new(0.01)).build(variables()).expect("the numbers fit");
    trainer
        .fit(&Regression { delay: even }, |_: ReplicaId| Numbers, Hooks::new().stop_at_step(25))
        .expect("it trains");
    assert_eq!(trainer.snapshot().variables.sha256(), plain(1, 25).sha256());
    // TensorFlow loses its first tokens' batches: its bits differ (P-16).
    let reference =
        SyncReplicas::new(Adam::new(0.01)).reference().build(variables()).expect("the numbers fit");
    reference
        .fit(&Regression { delay: even }, |_: ReplicaId| Numbers, Hooks::new().stop_at_step(25))
        .expect("it trains");
    assert_ne!(reference.snapshot().variables.sha256(), plain(1, 25).sha256());
}

#[test]
fn a_run_in_two_parts_equals_a_run_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = || {
        SyncReplicas::new(Adam::new(0.01))
            .replicas_to_aggregate(3)
            .total_num_replicas(4)
            .order(SummationOrder::Replica)
            .moving_average(0.9)
            .build(variables())
            .expect("the numbers fit")
    };
    let fit = |trainer: &sync_replicas::Trainer<f32>, step: i64| {
        let hooks = Hooks::new().stop_at_step(step);
        trainer
            .fit(&Regression { delay: jitter }, |_: ReplicaId| Numbers, hooks)
            .expect("it trains");
    };
    let whole = build();
    fit(&whole, 40);
    let first = build();
    fit(&first, 20);
    first.save(folder.path(), 1).expect("it is written");
    let second = build();
    assert_eq!(second.restore(folder.path()).expect("it is read").get(), 20);
    fit(&second, 40);
    assert_eq!(whole.snapshot().variables.sha256(), second.snapshot().variables.sha256());
    let sha = |trainer: &sync_replicas::Trainer<f32>| trainer.averages().map(|a| a.sha256());
    assert_eq!(sha(&whole), sha(&second));
    // The same trainer, fitted twice, goes on as well.
    fit(&first, 40);
    assert_eq!(whole.snapshot().variables.sha256(), first.snapshot().variables.sha256());
}
