//! TensorFlow's own test runs and the traces measured on it, number for number (P-16).
//!
//! One small graph throughout: `v0` starts at 0, `v1` at 1, `rows` at [[3], [4]]; replica w has
//! the gradients 0.1 + 0.2 w, 0.9 + 0.2 w, and for row 1 again 0.1 + 0.2 w; plain descent with
//! rate 2. Every run is driven by hand, one push after the other.

use hooks::{Coordinator, Hook};
use ndarray::{arr0, array};
use optim::Sgd;
use sync_replicas::options::SparseMean;
use sync_replicas::store::GradientKind;
use sync_replicas::tensorflow::SyncReplicasOptimizer;
use sync_replicas::{
    GlobalStep, Gradients, IndexedSlices, Outcome, ReplicaId, SyncReplicas, Variables,
};
use testing::ManualReplicas;

fn variables() -> Variables<f64> {
    Variables::new()
        .with("v0", arr0(0.0))
        .and_then(|variables| variables.with("v1", arr0(1.0)))
        .and_then(|variables| variables.with("rows", array![[3.0], [4.0]]))
        .expect("three names")
}

fn gradients(replica: usize) -> Gradients<f64> {
    let small = 0.1 + 0.2 * replica as f64;
    let row = IndexedSlices::new(vec![1], array![[small]], Some(vec![2, 1])).expect("one row");
    Gradients::new().dense("v0", arr0(small)).dense("v1", arr0(small + 0.8)).sparse("rows", row)
}

/// A run with this A, this N and so many initial tokens.
fn start(aggregate: usize, total: usize, tokens: Option<usize>) -> ManualReplicas<f64> {
    let mut builder = SyncReplicas::new(Sgd::new(2.0))
        .reference()
        .replicas_to_aggregate(aggregate)
        .total_num_replicas(total);
    if let Some(tokens) = tokens {
        builder = builder.initial_tokens(tokens);
    }
    ManualReplicas::new(builder.build(variables()).expect("it is valid"), total)
}

/// One push, and what is to be seen when every replica has gone as far as it can.
struct Event {
    replica: usize,
    /// Whether the push counted.
    fresh: bool,
    global_step: i64,
    tokens: usize,
    accumulated: u64,
    local_steps: &'static [i64],
    /// Who waits for a token.
    waiting: &'static [usize],
}

const fn event(
    replica: usize,
    fresh: bool,
    (global_step, tokens, accumulated): (i64, usize, u64),
    local_steps: &'static [i64],
    waiting: &'static [usize],
) -> Event {
    Event { replica, fresh, global_step, tokens, accumulated, local_steps, waiting }
}

#[track_caller]
fn check(driver: &mut ManualReplicas<f64>, events: &[Event]) {
    for (index, event) in events.iter().enumerate() {
        let outcome = driver.push(event.replica, gradients(event.replica)).expect("it fits");
        assert_eq!(outcome.is_accepted(), event.fresh, "push {index} of {}", event.replica);
        let waiting = (0..event.local_steps.len()).filter(|&replica| driver.waits(replica));
        let seen = (
            (driver.global_step(), driver.trainer.num_tokens()),
            ["v0", "v1", "rows"].map(|name| driver.trainer.num_accumulated(name)),
            driver.local_steps(),
            waiting.collect::<Vec<_>>(),
        );
        let expected = (
            (event.global_step, event.tokens),
            [Some(event.accumulated); 3],
            event.local_steps.to_vec(),
            event.waiting.to_vec(),
        );
        assert_eq!(seen, expected, "after push {index}, by replica {}", event.replica);
    }
}

#[track_caller]
fn check_values(driver: &ManualReplicas<f64>, v0: f64, v1: f64, row: f64) {
    let snapshot = driver.trainer.snapshot();
    let value = |name: &str| snapshot.variables.get(name).expect("it is there").clone();
    let got = [value("v0").sum(), value("v1").sum(), value("rows")[[0, 0]], value("rows")[[1, 0]]];
    for (got, expected) in got.into_iter().zip([v0, v1, 3.0, row]) {
        assert!((got - expected).abs() < 1e-12, "{got} instead of {expected}");
    }
}

/// 2Workers, E-16.
/// P-16: two replicas, both needed; each loses one batch to the initial tokens.
#[test]
fn two_replicas() {
    let mut driver = start(2, 2, Some(2));
    assert_eq!((driver.global_step(), driver.trainer.num_tokens()), (0, 2));
    check_values(&driver, 0.0, 1.0, 4.0);
    check(
        &mut driver,
        &[event(0, true, (0, 1, 1), &[0, 0], &[]), event(1, true, (1, 2, 0), &[0, 0], &[])],
    );
    check_values(&driver, -0.4, -1.0, 3.6);
    check(
        &mut driver,
        &[event(0, false, (1, 1, 0), &[1, 0], &[]), event(1, false, (1, 0, 0), &[1, 1], &[])],
    );
    check_values(&driver, -0.4, -1.0, 3.6);
    check(
        &mut driver,
        &[event(0, true, (1, 0, 1), &[1, 1], &[0]), event(1, true, (2, 0, 0), &[2, 2], &[])],
    );
    check_values(&driver, -0.8, -3.0, 3.2);
    // Lock step from here.
    check(
        &mut driver,
        &[event(1, true, (2, 0, 1), &[2, 2], &[1]), event(0, true, (3, 0, 0), &[3, 3], &[])],
    );
}

/// 3Workers1Backup, E-16.
/// R-22, P-16: three replicas of which one is a backup; the third to come is dropped.
#[test]
fn three_replicas_one_backup() {
    let mut driver = start(2, 3, Some(3));
    check(
        &mut driver,
        &[event(0, true, (0, 2, 1), &[0, 0, 0], &[]), event(2, true, (1, 4, 0), &[0, 0, 0], &[])],
    );
    check_values(&driver, -0.6, -1.2, 3.4);
    check(
        &mut driver,
        &[
            event(1, false, (1, 3, 0), &[0, 0, 0], &[]),
            event(0, false, (1, 2, 0), &[1, 0, 0], &[]),
            event(1, false, (1, 1, 0), &[1, 1, 0], &[]),
            event(2, false, (1, 0, 0), &[1, 1, 1], &[]),
            event(0, true, (1, 0, 1), &[1, 1, 1], &[0]),
        ],
    );
    check_values(&driver, -0.6, -1.2, 3.4);
    check(&mut driver, &[event(1, true, (2, 1, 0), &[2, 2, 1], &[])]);
    check_values(&driver, -1.0, -3.2, 3.0);
}

/// E-16. R-24: with A initial tokens the third replica takes a token of the new step at once.
#[test]
fn a_backup_with_the_default_tokens() {
    let mut driver = start(2, 3, None);
    check(
        &mut driver,
        &[
            event(0, true, (0, 1, 1), &[0, 0, 0], &[]),
            event(1, true, (1, 3, 0), &[0, 0, 0], &[]),
            event(2, false, (1, 2, 0), &[0, 0, 1], &[]),
            event(0, false, (1, 1, 0), &[1, 0, 1], &[]),
            event(1, false, (1, 0, 0), &[1, 1, 1], &[]),
            event(2, true, (1, 0, 1), &[1, 1, 1], &[2]),
        ],
    );
}

/// E-16. R-22: N < A, so replicas compute several batches a step.
#[test]
fn fewer_replicas_than_gradients() {
    let mut driver = start(4, 2, None);
    check(
        &mut driver,
        &[
            event(0, true, (0, 3, 1), &[0, 0], &[]),
            event(1, true, (0, 2, 2), &[0, 0], &[]),
            event(0, true, (0, 1, 3), &[0, 0], &[]),
            event(1, true, (1, 4, 0), &[0, 0], &[]),
        ],
    );
    check_values(&driver, -0.4, -1.0, 3.6);
    check(
        &mut driver,
        &[
            event(0, false, (1, 3, 0), &[1, 0], &[]),
            event(1, false, (1, 2, 0), &[1, 1], &[]),
            event(0, true, (1, 1, 1), &[1, 1], &[]),
            event(1, true, (1, 0, 2), &[1, 1], &[]),
            event(0, true, (1, 0, 3), &[1, 1], &[0]),
            // Four tokens came, and both who waited have taken theirs.
            event(1, true, (2, 2, 0), &[2, 2], &[]),
        ],
    );
}

/// E-16. R-24: with no initial tokens nothing is wasted.
#[test]
fn no_initial_tokens() {
    let mut driver = start(2, 2, Some(0));
    check(
        &mut driver,
        &[
            event(0, true, (0, 0, 1), &[0, 0], &[0]),
            event(1, true, (1, 0, 0), &[1, 1], &[]),
            event(1, true, (1, 0, 1), &[1, 1], &[1]),
            event(0, true, (2, 0, 0), &[2, 2], &[]),
        ],
    );
}

/// E-18.
/// a token that no other takes lets one replica push for both, once there are A of them.
#[test]
fn the_chief_alone() {
    let build = |tokens| {
        let builder = SyncReplicas::new(Sgd::new(2.0)).reference().replicas_to_aggregate(2);
        ManualReplicas::new(
            builder.initial_tokens(tokens).build(variables()).expect("it is valid"),
            1,
        )
    };
    let mut alone = build(2);
    for _ in 0..13 {
        alone.push(0, gradients(0)).expect("it fits");
    }
    assert_eq!((alone.global_step(), alone.waits(0)), (6, false));

    let mut alone = build(0);
    alone.push(0, gradients(0)).expect("it fits");
    assert_eq!((alone.global_step(), alone.waits(0)), (0, true));
}

/// E-17.
/// each accumulator admits for itself. Two pushes of `v0` alone move `v0` and nothing
/// else; the `v0` part of the pushes that follow is late, the `v1` part is not.
#[test]
fn a_push_of_one_variable_moves_that_one() {
    let mut optimizer = SyncReplicasOptimizer::new(Sgd::new(2.0), 2, None).expect("it is valid");
    let kinds = [("v0", GradientKind::Dense), ("v1", GradientKind::Dense)];
    let train_op = optimizer
        .apply_gradients(&kinds, variables(), Some(GlobalStep::new(0)))
        .expect("it is valid");
    train_op.initialize();
    let coordinator = Coordinator::new();
    let mut chief = train_op.session(ReplicaId::new(0), |_, _| Ok(Gradients::new()));
    let mut hook = optimizer.make_session_run_hook(true, Some(4));
    hook.begin().expect("gradients were applied");
    hook.after_create_session(&mut chief, &coordinator).expect("it is ready");
    // The session's replica leaves, so that handles of our own can take its place.
    drop(chief);
    let mut handles =
        [0, 1].map(|id| train_op.trainer().replica(ReplicaId::new(id)).expect("it is free"));

    let small = |replica: usize| arr0(0.1 + 0.2 * replica as f64);
    for (id, handle) in handles.iter_mut().enumerate() {
        let step = handle.next_step().expect("not overdue").expect("not ended");
        let outcome = step.push(Gradients::new().dense("v0", small(id))).expect("it fits");
        assert_eq!(outcome, Outcome::Accepted { count: id as u64 + 1 });
    }
    // The chief's runner is another thread; the update of `v0` is on its way.
    let v0 = || train_op.trainer().snapshot().variables.get("v0").expect("it is there").sum();
    while v0() == 0.0 {
        std::thread::yield_now();
    }
    let snapshot = train_op.trainer().snapshot();
    assert!((v0() + 0.4).abs() < 1e-12);
    assert_eq!(snapshot.variables.get("v1").expect("it is there").sum(), 1.0);
    assert_eq!((snapshot.global_step.get(), train_op.trainer().num_tokens()), (0, 2));

    for (id, handle) in handles.iter_mut().enumerate() {
        let step = handle.next_step().expect("not overdue").expect("not ended");
        let both = Gradients::new().dense("v0", small(id)).dense("v1", small(id) + 0.8);
        let outcome = step.push(both).expect("it fits");
        assert_eq!(outcome, Outcome::Partly { accepted: vec![1] });
    }
    for handle in &mut handles {
        assert!(handle.wait_for_token().expect("not overdue"));
    }
    while train_op.trainer().snapshot().global_step.get() == 0 {
        std::thread::yield_now();
    }
    let snapshot = train_op.trainer().snapshot();
    let values = ["v0", "v1"].map(|name| snapshot.variables.get(name).expect("there").sum());
    assert!((values[0] + 0.4).abs() < 1e-12 && (values[1] + 1.0).abs() < 1e-12, "{values:?}");
    coordinator.request_stop("done");
    coordinator.join(std::time::Duration::MAX).expect("the runner ends");
}

/// E-23.
/// R-8, P-16: what becomes of rows that one replica names twice, in no order, and another once.
#[test]
fn sparse_rows_from_end_to_end() {
    let rate = || SyncReplicas::new(Sgd::new(2.0)).replicas_to_aggregate(2);
    // (the rules, row 1, row 2)
    let table = [
        // The original merge keeps repetitions apart; the update then adds them up.
        (rate().reference(), -30.0, -2.0),
        // A push is put in order first; each row is divided by the pushes that had it.
        (rate(), -15.0, -2.0),
        // Or by all pushes.
        (rate().sparse_mean(SparseMean::PerGradient), -15.0, -1.0),
    ];
    for (case, (builder, row_1, row_2)) in table.into_iter().enumerate() {
        for turned in [false, true] {
            let table = Variables::new().with("table", array![[0.0], [0.0], [0.0]]);
            let trainer = builder.clone().initial_tokens(0).build(table.expect("one name"));
            let mut driver = ManualReplicas::new(trainer.expect("it is valid"), 2);
            let a = IndexedSlices::new(vec![2, 1, 1], array![[1.0], [2.0], [3.0]], None);
            let b = IndexedSlices::new(vec![1], array![[10.0]], None);
            let mut pushes = [a, b].map(|slices| slices.expect("one row an index"));
            if turned {
                pushes.reverse();
            }
            for (replica, slices) in pushes.into_iter().enumerate() {
                let gradients = Gradients::new().sparse("table", slices);
                assert!(driver.push(replica, gradients).expect("it fits").is_accepted());
            }
            let snapshot = driver.trainer.snapshot();
            let got = snapshot.variables.get("table").expect("it is there");
            assert_eq!(got, &array![[0.0], [row_1], [row_2]].into_dyn(), "case {case}, {turned}");
        }
    }
}

/// Steps the run `steps` times further; how many pushes that took, and how many were in vain.
///
/// Each replica that can push does so in turn; replica 0 only every `slowness`-th time.
fn pushes_in(driver: &mut ManualReplicas<f64>, steps: i64, slowness: usize) -> (u64, u64) {
    let (until, before) = (driver.global_step() + steps, driver.trainer.totals());
    let mut round = 0;
    while driver.global_step() < until {
        round += 1;
        let ready = driver.ready();
        assert!(!ready.is_empty(), "everybody waits");
        for replica in ready {
            // An earlier replica's push may have ended this one's turn only by the step's end.
            let turn = replica != 0 || round % slowness == 0;
            if turn && driver.global_step() < until {
                driver.push(replica, gradients(replica)).expect("it fits");
            }
        }
    }
    let after = driver.trainer.totals();
    (after.batches - before.batches, after.stale - before.stale)
}

/// E-16.
/// R-22, P-16: max(N, A) batches are completed a step, of which A count, whichever replicas are
/// slow or dead.
#[test]
fn completed_batches_a_step() {
    let steps = 60;
    // (A, N, live replicas, how much slower the first one is, T)
    let table = [
        (3, 3, 3, 1, 3),
        (2, 3, 3, 1, 3),
        (2, 3, 3, 6, 3),
        (2, 3, 2, 1, 3),
        (2, 4, 2, 1, 4),
        (2, 6, 2, 1, 6),
        (4, 2, 2, 1, 4),
    ];
    for (aggregate, total, live, slowness, per_step) in table {
        let what = format!("A = {aggregate}, N = {total}, {live} live, slowness {slowness}");
        let builder = SyncReplicas::new(Sgd::new(1e-6))
            .reference()
            .replicas_to_aggregate(aggregate)
            .total_num_replicas(total);
        let mut driver =
            ManualReplicas::new(builder.build(variables()).expect("it is valid"), live);
        pushes_in(&mut driver, 10, slowness);
        let (pushes, stale) = pushes_in(&mut driver, steps, slowness);
        let (expected, wasted) = (per_step * 60, (per_step - aggregate as u64) * 60);
        // Where the counting begins within a step is chance.
        assert!(pushes.abs_diff(expected) <= per_step, "{what}: {pushes}, not {expected}");
        assert!(stale.abs_diff(wasted) <= per_step, "{what}: {stale} in vain, not {wasted}");
    }
}
