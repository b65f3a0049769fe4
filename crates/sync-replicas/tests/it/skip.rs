//! By choice a batch whose gradients are not finite is left out, and another stands in (P-25).

use std::collections::BTreeSet;

use ndarray::{Array1, ArrayD, Axis, Slice, array};
use optim::{Momentum, Sgd};
use sync_replicas::error::FitError;
use sync_replicas::options::{NonFinite, SummationOrder};
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradient, Gradients, Hooks, IndexedSlices, Model, Outcome,
    ReplicaId, SyncReplicas, Trainer, Variables, Work, checkpoint,
};

fn variables() -> Variables<f32> {
    let variables = Variables::new().with("a", array![1.0, 2.0]);
    variables.and_then(|it| it.with("table", array![[1.0], [2.0]])).expect("two names")
}

fn rows(value: f32) -> Gradient<f32> {
    let rows = IndexedSlices::new(vec![1], array![[value]].into_dyn(), None).expect("it fits");
    Gradient::Sparse(rows)
}

fn dense(value: f32) -> Gradients<f32> {
    Gradients::new().dense("a", array![0.5, value]).missing("table")
}

fn sparse(value: f32) -> Gradients<f32> {
    Gradients::new().missing("a").with("table", rows(value))
}

fn both(value: f32) -> Gradients<f32> {
    Gradients::new().dense("a", array![0.5, 1.0]).with("table", rows(value))
}

fn skipping(aggregate: usize, order: SummationOrder) -> SyncReplicas<Sgd> {
    SyncReplicas::new(Sgd::new(0.1))
        .replicas_to_aggregate(aggregate)
        .order(order)
        .non_finite(NonFinite::Skip)
}

/// P-7, P-25: what is not finite is of no step and counted, and its replica computes another.
#[test]
fn a_push_that_is_not_finite_is_left_out() {
    #[track_caller]
    fn check(gradients: fn(f32) -> Gradients<f32>) {
        for (order, bad) in [
            (SummationOrder::Arrival, f32::NAN),
            (SummationOrder::Replica, f32::INFINITY),
            (SummationOrder::Replica, f32::NEG_INFINITY),
        ] {
            let trainer = skipping(1, order).build(variables()).expect("it is valid");
            let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
            let mut push = |number: u64, value: f32| {
                let step = replica.next_step().expect("not overdue").expect("not ended");
                assert_eq!(step.number(), number, "{order:?}");
                step.push(gradients(value)).expect("it fits")
            };
            assert_eq!(push(0, bad), Outcome::NotFinite);
            assert_eq!(push(1, bad), Outcome::NotFinite);
            assert_eq!(push(2, 1.0), Outcome::Accepted { count: 1 });
            assert_eq!(push(3, bad), Outcome::NotFinite);
            let snapshot = trainer.snapshot();
            assert_eq!(snapshot.global_step.get(), 1);
            assert!(snapshot.variables.iter().all(|(_, it)| it.iter().all(|x| x.is_finite())));
            let tally = trainer.tally(ReplicaId::new(0)).expect("it joined");
            assert_eq!((tally.non_finite, tally.accepted, tally.superseded), (3, 1, 0));
        }
    }
    check(dense);
    check(sparse);
    check(both);
}

/// P-25: whatever has numbers is looked at, however it lies in memory.
#[test]
fn any_number_of_a_gradient_counts() {
    #[track_caller]
    fn check(gradients: &Gradients<f32>, finite: bool) {
        assert_eq!(gradients.is_finite(), finite);
    }
    let long = |at: usize, value: f32| {
        let mut array = Array1::<f32>::ones(5000);
        array[at] = value;
        array
    };
    let of = |array: ArrayD<f32>| Gradients::new().dense("a", array);
    check(&Gradients::new().missing("a"), true);
    check(&of(long(0, f32::MAX).into_dyn()), true);
    for at in [0, 1023, 1024, 4999] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            check(&of(long(at, value).into_dyn()), false);
            // Every second one: not one piece of memory.
            let mut apart = long(at, value);
            apart.slice_axis_inplace(Axis(0), Slice::new((at % 2) as isize, None, 2));
            check(&of(apart.into_dyn()), false);
        }
    }
    check(&of(ArrayD::from_elem(vec![], f32::NAN)), false);
    check(&sparse(1.0), true);
    check(&sparse(f32::NAN), false);
}

/// P-25: only gradients are looked at; what comes of them may still overflow.
#[test]
fn an_update_that_overflows_ends_training() {
    #[track_caller]
    fn check(rate: f64, gradients: fn(f32) -> Gradients<f32>, value: f32, said: &str) {
        let sgd = SyncReplicas::new(Sgd::new(rate)).replicas_to_aggregate(2);
        let trainer = sgd.non_finite(NonFinite::Skip).build(variables()).expect("it is valid");
        let join = |replica| trainer.replica(ReplicaId::new(replica)).expect("it is free");
        let mut replicas = [join(0), join(1)];
        for replica in &mut replicas {
            let step = replica.next_step().expect("not overdue").expect("not ended");
            assert!(step.push(gradients(value)).expect("it fits").is_accepted());
        }
        let error = replicas[1].next_step().map(drop).expect_err("it failed").to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(trainer.snapshot().global_step.get(), 0);
    }
    // The mean of two, then the result.
    check(0.1, dense, f32::MAX, "the update of variable `a` at step 0 is not finite");
    check(0.1, sparse, f32::MAX, "the update of variable `table` at step 0 is not finite");
    check(1e38, dense, 1e38, "the update of variable `a` at step 0 is not finite");
}

/// The number of the batch is all there is to it.
struct Numbers(fn(u64) -> u64);

impl BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some((self.0)(number))
    }
}

/// Its gradients follow from variables and batch; those of `bad` are not finite.
struct Pull {
    bad: BTreeSet<u64>,
}

impl Model<f32> for Pull {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        &batch: &u64,
        _: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let bad = self.bad.contains(&batch);
        let noise = if bad { f32::NAN } else { (batch % 13) as f32 / 13.0 };
        let a = variables.get("a")?.mapv(|a| a - noise);
        let gradients = Gradients::new().dense("a", a).with("table", rows(noise + 0.3));
        Ok(Some(Computed { loss: f64::from(noise), examples: 1, gradients }))
    }
}

const SOME: [u64; 6] = [0, 3, 5, 12, 14, 17];

fn in_order(replicas: usize) -> Trainer<f32> {
    SyncReplicas::new(Momentum::new(0.1, 0.9))
        .replicas_to_aggregate(2)
        .total_num_replicas(replicas)
        .order(SummationOrder::Replica)
        .non_finite(NonFinite::Skip)
        .build(variables())
        .expect("it is valid")
}

fn fit_to(trainer: &Trainer<f32>, step: i64, bad: &[u64], data: fn(u64) -> u64) -> u64 {
    let model = Pull { bad: bad.iter().copied().collect() };
    let hooks = Hooks::new().stop_at_step(step);
    let report = trainer.fit(&model, |_| Numbers(data), hooks).expect("it runs");
    assert_eq!(report.global_step, step);
    report.replicas.iter().map(|replica| replica.tally.non_finite).sum()
}

/// The batch that a share's n-th one is, when those in `SOME` are not there: each of the two shares
/// has every second number.
fn stand_in(number: u64) -> u64 {
    let good = |candidate: &u64| !SOME.contains(candidate);
    let mut of_share = (number % 2..).step_by(2).filter(good);
    of_share.nth(number as usize / 2).expect("there is always another")
}

/// P-14, P-25: the bits are those of a run over data without the bad batches, for any number of
/// replicas, and when the run goes on from a checkpoint in between.
#[test]
fn the_next_batches_of_the_shares_stand_in() {
    let plain = in_order(1);
    assert_eq!(fit_to(&plain, 12, &[], stand_in), 0);
    let expected = plain.snapshot().variables.sha256();
    let other = in_order(1);
    fit_to(&other, 12, &[], |number| number);
    assert_ne!(other.snapshot().variables.sha256(), expected, "the batches matter");
    for replicas in 1..=3 {
        let trainer = in_order(replicas);
        let left_out = fit_to(&trainer, 12, &SOME, |number| number);
        assert!(left_out >= SOME.len() as u64, "{replicas} replicas: {left_out}");
        assert_eq!(trainer.snapshot().variables.sha256(), expected, "{replicas} replicas");
    }
    for step in [1, 4, 7, 11] {
        let folder = tempfile::tempdir().expect("a folder");
        let first = in_order(2);
        fit_to(&first, step, &SOME, |number| number);
        first.save(folder.path(), 1).expect("it is good");
        let second = in_order(3);
        second.restore(folder.path()).expect("it is its own");
        fit_to(&second, 12, &SOME, |number| number);
        assert_eq!(second.snapshot().variables.sha256(), expected, "from step {step} on");
    }
}

/// From step 3 on nothing that is computed is finite.
struct Breaks;

impl Model<f32> for Breaks {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f32>,
        _: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let value = if work.step.get() < 3 { 0.1 } else { f32::NAN };
        Ok(Some(Computed { loss: f64::from(value), examples: 1, gradients: dense(value) }))
    }
}

/// P-25: ten in a row of one replica end training, and what they were computed from is not known to
/// be good.
#[test]
fn ten_in_a_row_end_training() {
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        let folder = tempfile::tempdir().expect("a folder");
        let trainer = skipping(1, order).build(variables()).expect("it is valid");
        let hooks = Hooks::new().checkpoints(folder.path(), 1, 3);
        let error = trainer.fit(&Breaks, |_| Numbers(|number| number), hooks);
        let error = error.expect_err("it fails");
        assert!(matches!(error, FitError::NotFinite { .. }), "{error:?}");
        let said = "training ended: replica 0 had gradients that are not finite (NaN or infinite) \
                    in 10 batches in a row;";
        let error = error.to_string();
        assert!(error.starts_with(said) && error.contains("checkpoint-000000003.bad"), "{error}");
        let latest = checkpoint::latest(folder.path()).expect("a list");
        assert_eq!(latest, Some(folder.path().join("checkpoint-000000002")), "{error}");
        assert_eq!(trainer.tally(ReplicaId::new(0)).expect("it joined").non_finite, 10);
    }
}
