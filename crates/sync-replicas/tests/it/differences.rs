//! Each deliberate difference that shows in variables and gradients: one scenario, played under the
//! reference preset and at the front door, with what comes of it on either side (P-16).
//!
//! Those that the engine decides alone are in the crate `engine`, `src/tests/differences.rs`.

use std::fmt::Debug;

use accum_core::{DenseAccumulator, Reduction};
use hooks::{Coordinator, Hook};
use ndarray::{arr0, array};
use optim::Sgd;
use sync_replicas::options::SummationOrder;
use sync_replicas::store::GradientKind;
use sync_replicas::tensorflow::SyncReplicasOptimizer;
use sync_replicas::{GlobalStep, Gradients, ReplicaId, SyncReplicas, Trainer, Variables};
use testing::ManualReplicas;

type Builder = SyncReplicas<Sgd>;

fn variables() -> Variables<f64> {
    let variables = Variables::new().with("v0", arr0(0.0));
    variables.and_then(|variables| variables.with("v1", arr0(0.0))).expect("two names")
}

fn both(value: f64) -> Gradients<f64> {
    Gradients::new().dense("v0", arr0(value)).dense("v1", arr0(value))
}

fn v0(trainer: &Trainer<f64>) -> f64 {
    trainer.snapshot().variables.get("v0").expect("it is there").sum()
}

fn handle<const N: usize>(trainer: &Trainer<f64>) -> [sync_replicas::Replica<f64>; N] {
    std::array::from_fn(|id| trainer.replica(ReplicaId::new(id as u64)).expect("it is free"))
}

fn build(builder: Builder) -> Trainer<f64> {
    builder.build(variables()).expect("it is valid")
}

#[track_caller]
fn check<R: Debug + PartialEq>(
    (aggregate, total): (usize, usize),
    play: impl Fn(Builder) -> R,
    reference: R,
    front_door: R,
) {
    let builder =
        SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(aggregate).total_num_replicas(total);
    assert_eq!(play(builder.clone().reference()), reference, "reference");
    assert_eq!(play(builder), front_door, "front door");
}

// R-2, P-11: one replica pushes for both variables, the other for the first alone.
#[test]
fn the_unit_of_admission() {
    let play = |builder| {
        let mut driver = ManualReplicas::new(build(builder), 2);
        driver.push(0, both(1.0)).expect("it fits");
        let partial = driver.push(1, Gradients::new().dense("v0", arr0(3.0)));
        let held = ["v0", "v1"].map(|name| driver.trainer.num_accumulated(name));
        (partial.is_ok(), held, v0(&driver.trainer), driver.global_step())
    };
    // In TensorFlow's way the first variable is a step ahead of the second.
    let reference = (true, [Some(0), Some(1)], -2.0, 0);
    check((2, 2), play, reference, (false, [Some(1), Some(1)], 0.0, 0));
}

// P-13: the step closes while replica 1 still computes for it.
#[test]
fn work_that_is_superseded() {
    let play = |builder: Builder| {
        let trainer = build(builder);
        let [mut first, mut second, mut third] = handle(&trainer);
        let late = second.next_step().expect("not overdue").expect("not ended");
        for replica in [&mut first, &mut third] {
            let step = replica.next_step().expect("not overdue").expect("not ended");
            assert!(step.push(both(1.0)).expect("it fits").is_accepted());
        }
        let told = late.is_superseded();
        (told, late.push(both(1.0)).expect("no error").is_accepted())
    };
    check((2, 3), play, (false, false), (true, false));
}

// P-14: the same three gradients, whose sum depends on the order, arriving in two orders.
#[test]
fn the_order_of_sums() {
    let play = |builder: Builder| {
        [[0, 1, 2], [0, 2, 1]].map(|arrival| {
            let mut driver = ManualReplicas::new(build(builder.clone()), 3);
            for replica in arrival {
                driver.push(replica, both([1e16, 1.0, -1e16][replica])).expect("it fits");
            }
            assert_eq!(driver.global_step(), 1);
            v0(&driver.trainer)
        })
    };
    let third = -1.0 / 3.0;
    check((3, 3), play, [0.0, third], [0.0, third]);
    // By choice; the reference preset has arrival order only.
    let front_door = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(3);
    let [one, other] = play(front_door.order(SummationOrder::Replica));
    assert_eq!(one.to_bits(), other.to_bits());
}

// R-5, P-9: an accumulator's step is simply set; a run's needs a restore, and begins anew.
#[test]
fn setting_the_step_lower() {
    let mut accumulator = DenseAccumulator::<f64>::new([], Reduction::Mean);
    accumulator.set_global_step(9);
    accumulator.apply(arr0(1.0), 9).expect("it fits");
    assert_eq!(accumulator.set_global_step(3).get(), 9, "the old one is returned");
    assert_eq!((accumulator.global_step().get(), accumulator.num_accumulated()), (3, 1));

    let folder = tempfile::tempdir().expect("a folder");
    let trainer = build(SyncReplicas::new(Sgd::new(1.0)));
    trainer.save(folder.path(), 1).expect("it is written");
    let [mut replica] = handle(&trainer);
    let step = replica.next_step().expect("not overdue").expect("not ended");
    step.push(both(1.0)).expect("it fits");
    let old = replica.next_step().expect("not overdue").expect("not ended");
    assert_eq!((old.local_step().get(), v0(&trainer)), (1, -1.0));
    assert_eq!(trainer.restore(folder.path()).expect("it is read").get(), 0);
    old.push(both(1.0)).expect_err("of an earlier life");
    assert_eq!((v0(&trainer), trainer.num_accumulated("v0")), (0.0, Some(0)));
}

// R-21, P-4: two pushes are enough for a step; the explicit way has also a runner to start.
#[test]
fn who_applies_an_update() {
    let mut driver =
        ManualReplicas::new(build(SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2)), 2);
    for replica in [0, 1] {
        driver.push(replica, both(1.0)).expect("it fits");
    }
    assert_eq!((driver.global_step(), v0(&driver.trainer)), (1, -1.0), "by the second push");

    let mut optimizer = SyncReplicasOptimizer::new(Sgd::new(1.0), 2, None).expect("it is valid");
    let pair = [("w", GradientKind::Dense)];
    let variables = Variables::new().with("w", array![0.0]).expect("one name");
    let train_op = optimizer.apply_gradients(&pair, variables, Some(GlobalStep::new(0)));
    let train_op = train_op.expect("it is valid");
    train_op.initialize();
    for id in [0, 1] {
        let mut replica = train_op.trainer().replica(ReplicaId::new(id)).expect("it is free");
        let step = replica.next_step().expect("not overdue").expect("not ended");
        let gradients = Gradients::new().dense("w", array![1.0]);
        assert!(step.push(gradients).expect("it fits").is_accepted());
    }
    assert_eq!(train_op.trainer().snapshot().global_step.get(), 0, "nobody has applied it");
    let coordinator = Coordinator::new();
    let mut chief = train_op.session(ReplicaId::new(0), |_, _| Ok(Gradients::new()));
    let mut hook = optimizer.make_session_run_hook(true, None);
    hook.begin().expect("gradients were applied");
    hook.after_create_session(&mut chief, &coordinator).expect("it is ready");
    while train_op.trainer().snapshot().global_step.get() == 0 {
        std::thread::yield_now();
    }
    coordinator.request_stop("done");
    coordinator.join(std::time::Duration::MAX).expect("the runner ends");
}

// P-25: one of two gradients is NaN.
#[test]
fn numbers_that_are_not_finite() {
    let play = |builder| {
        let mut driver = ManualReplicas::new(build(builder), 2);
        driver.push(0, both(1.0)).expect("it fits");
        // At the front door its next wait tells it of the end.
        let _ = driver.push(1, both(f64::NAN));
        driver.global_step()
    };
    check((2, 2), play, 1, 0);
}
