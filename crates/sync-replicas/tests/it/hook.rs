//! The sync-replicas hook and the sessions around it (R-27, R-32, R-33, P-1, P-2, P-6).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hooks::{
    Coordinator, Failure, Hook, MonitoredSession, RunError, Session, SessionError, StartError,
    StopAtStep,
};
use ndarray::array;
use optim::Sgd;
use sync_replicas::store::GradientKind;
use sync_replicas::tensorflow::{HookStateError, NotApplied, SyncReplicasOptimizer, TrainOp};
use sync_replicas::{BoxError, GlobalStep, Gradients, ReplicaId, Variables};

type Wrapped = SyncReplicasOptimizer<f64, Sgd>;

fn wrap(aggregate: usize, total: usize) -> Wrapped {
    SyncReplicasOptimizer::new(Sgd::new(1.0), aggregate, Some(total)).expect("it is valid")
}

fn apply(optimizer: &mut Wrapped) -> TrainOp<f64> {
    let variables = Variables::new()
        .with("w", array![0.0])
        .and_then(|variables| variables.with("bias", array![0.0]))
        .expect("two names");
    let pairs = [("w", GradientKind::Dense), ("bias", GradientKind::Dense)];
    optimizer.apply_gradients(&pairs, variables, Some(GlobalStep::new(0))).expect("it is valid")
}

fn ones() -> Result<Gradients<f64>, BoxError> {
    Ok(Gradients::new().dense("w", array![1.0]).dense("bias", array![1.0]))
}

fn cause(error: Failure) -> HookStateError {
    match error {
        Failure::Fatal(error) => *error.downcast().expect("the hook's own error"),
        other => panic!("{other:?} is no failure"),
    }
}

/// it may be made early, but not begun early, by the chief or any other.
#[test]
fn begun_before_gradients_were_applied() {
    for is_chief in [true, false] {
        let mut optimizer = wrap(1, 1);
        let mut hook = optimizer.make_session_run_hook(is_chief, None);
        let error = cause(hook.begin().expect_err("nothing was applied"));
        assert!(matches!(error, HookStateError::NotApplied(NotApplied { .. })), "{error:?}");
        apply(&mut optimizer);
        hook.begin().expect("now they are");
    }
}

/// too few tokens show when the chief's hook begins; the others put none.
#[test]
fn begun_with_too_few_tokens() {
    let mut optimizer = wrap(4, 2);
    apply(&mut optimizer);
    let error = cause(optimizer.make_session_run_hook(true, Some(1)).begin().expect_err("1 < 2"));
    assert!(matches!(error, HookStateError::Tokens(_)), "{error:?}");
    optimizer.make_session_run_hook(false, Some(1)).begin().expect("it puts no tokens");
    optimizer.make_session_run_hook(true, Some(2)).begin().expect("2 is enough");
}

/// 'not ready' names the variables, and has started nothing.
#[test]
fn variables_that_are_not_ready() {
    let mut optimizer = wrap(1, 1);
    let train_op = apply(&mut optimizer);
    train_op.readiness().publish("w");
    let mut session = train_op.session(ReplicaId::new(0), |_, _| ones());
    let mut hook = optimizer.make_session_run_hook(true, None);
    let coordinator = Coordinator::new();
    let error = hook.after_create_session(&mut session, &coordinator).expect_err("bias is not");
    let error = cause(error);
    let HookStateError::NotReady(StartError::NotReady { missing }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, &["bias"]);
    assert!(error.to_string().contains("bias"), "{error}");
    assert_eq!((train_op.trainer().num_tokens(), train_op.trainer().ledger().issued), (0, 0));
    train_op.initialize();
    hook.after_create_session(&mut session, &coordinator).expect("now it is");
    coordinator.request_stop("done");
    coordinator.join(Duration::MAX).expect("the runner ends");
}

/// after the session exists the chief has put the tokens and its runner applies steps;
/// before, no step closes.
#[test]
fn the_chief_starts_tokens_and_runner() {
    let mut optimizer = wrap(2, 2);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let coordinator = Coordinator::new();
    let mut worker = train_op.session(ReplicaId::new(1), |_, _| ones());
    let mut hook = optimizer.make_session_run_hook(false, None);
    hook.begin().expect("gradients were applied");
    hook.after_create_session(&mut worker, &coordinator).expect("it is ready");
    assert_eq!(train_op.trainer().num_tokens(), 0, "a worker puts none");

    let mut chief = train_op.session(ReplicaId::new(0), |_, _| ones());
    let mut hook = optimizer.make_session_run_hook(true, None);
    hook.begin().expect("gradients were applied");
    hook.after_create_session(&mut chief, &coordinator).expect("it is ready");
    assert_eq!(train_op.trainer().num_tokens(), 2, "A by default");

    // The initial tokens let both go on without waiting for the update.
    chief.run().expect("it pushes");
    worker.run().expect("it pushes");
    // Stale, since their tokens were of step 0; the tokens are of step 1 now.
    chief.run().expect("a token is there");
    worker.run().expect("a token is there");
    for session in [&chief, &worker] {
        assert!(session.last_outcome().is_some_and(|outcome| !outcome.is_accepted()));
    }
    assert_eq!(train_op.trainer().snapshot().global_step.get(), 1);
    assert_eq!(
        train_op.trainer().snapshot().variables.vector("w").expect("it is there"),
        array![-1.0]
    );
    worker.close();
    chief.close();
    coordinator.request_stop("done");
    coordinator.join(Duration::MAX).expect("the runner ends");
}

/// One replica's whole training; answers how its session ended.
fn train(
    optimizer: &Wrapped,
    train_op: &TrainOp<f64>,
    id: u64,
    batches: u64,
    last_step: i64,
) -> Result<(), SessionError> {
    let session = train_op.session(ReplicaId::new(id), move |_, number| {
        // Batches are numbered through all replicas.
        if number / 3 < batches { ones() } else { Err(RunError::EndOfInput.into()) }
    });
    let mut sessions = Some(session).into_iter();
    let builder = MonitoredSession::builder(move |_| sessions.next().ok_or(RunError::Stopped))
        .hook(optimizer.make_session_run_hook(id == 0, Some(0)));
    let builder = if id == 0 { builder.hook(StopAtStep::last_step(last_step)) } else { builder };
    builder.start()?.run_until_stopped().map(drop)
}

/// P-1, P-2: the chief's end is told to all, at once: none waits out a grace period, and none
/// reports an error.
#[test]
fn the_chiefs_end_is_everybodys() {
    let mut optimizer = wrap(3, 3);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|id| {
                let (optimizer, train_op) = (&optimizer, &train_op);
                scope.spawn(move || train(optimizer, train_op, id, u64::MAX, 5))
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic").expect("a clean end");
        }
    });
    assert_eq!(train_op.trainer().snapshot().global_step.get(), 5);
    // The grace period is two minutes.
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// P-1: a replica that comes when all is over ends at once, without an error.
#[test]
fn after_the_end() {
    let mut optimizer = wrap(1, 2);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    train(&optimizer, &train_op, 0, u64::MAX, 3).expect("a clean end");
    train(&optimizer, &train_op, 1, u64::MAX, 3).expect("a clean end, too");
    assert_eq!(train_op.trainer().snapshot().global_step.get(), 3);
}

/// R-30, P-6: data that ends is a clean end of that replica; with a backup the others go on.
#[test]
fn data_that_ends() {
    let mut optimizer = wrap(2, 3);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let (report, ends) = mpsc::channel();
    std::thread::scope(|scope| {
        for id in 0..3 {
            let (optimizer, train_op, report) = (&optimizer, &train_op, report.clone());
            let batches = if id == 2 { 4 } else { u64::MAX };
            scope.spawn(move || {
                let end = train(optimizer, train_op, id, batches, 40);
                report.send((id, end.is_ok())).expect("somebody listens");
            });
        }
    });
    drop(report);
    let mut ends: Vec<_> = ends.iter().collect();
    ends.sort_unstable();
    assert_eq!(ends, [(0, true), (1, true), (2, true)]);
    // Two are enough for a step, so the last one may be a little past the chief's.
    assert!(train_op.trainer().snapshot().global_step.get() >= 40);
}

/// what the computation fails with is what the session ends with.
#[test]
fn a_computation_that_fails() {
    let mut optimizer = wrap(1, 1);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let session = train_op.session(ReplicaId::new(0), |_, _| Err("no more memory".into()));
    let mut sessions = Some(session).into_iter();
    let error = MonitoredSession::builder(move |_| sessions.next().ok_or(RunError::Stopped))
        .hook(optimizer.make_session_run_hook(true, None))
        .start()
        .expect("it is ready")
        .run_until_stopped()
        .expect_err("it fails");
    assert!(matches!(error, SessionError::Step(_)), "{error:?}");
    assert!(error.to_string().contains("no more memory"), "{error}");
}

/// a replica whose session is lost gets another one, with the hook's work done again,
/// and the step is retried; the others do not notice.
#[test]
fn a_session_that_is_lost() {
    let mut optimizer = wrap(1, 2);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let coordinator = Coordinator::new();
    let mut chief = train_op.session(ReplicaId::new(0), |_, _| ones());
    let mut hook = optimizer.make_session_run_hook(true, None);
    hook.after_create_session(&mut chief, &coordinator).expect("it is ready");

    let (sessions, computed) = (AtomicU64::new(0), AtomicU64::new(0));
    let compute = || match computed.fetch_add(1, Ordering::Relaxed) {
        0 => Err(RunError::recoverable("the line was cut").into()),
        _ => ones(),
    };
    let create = |_: &Coordinator| {
        sessions.fetch_add(1, Ordering::Relaxed);
        Ok(train_op.session(ReplicaId::new(1), |_, _| compute()))
    };
    let mut worker = MonitoredSession::builder(create)
        .hook(optimizer.make_session_run_hook(false, None))
        .start()
        .expect("it is ready");
    assert!(worker.run().expect("the step is retried").is_some());
    worker.close().expect("a clean end");
    assert_eq!((sessions.load(Ordering::Relaxed), computed.load(Ordering::Relaxed)), (2, 2));
    // The chief is still there, and so is the training.
    chief.run().expect("it pushes");
    coordinator.request_stop("done");
    coordinator.join(Duration::MAX).expect("the runner ends");
    assert!(1 <= train_op.trainer().snapshot().global_step.get());
}

/// the same for the chief. Its runner, initial tokens and replica come anew, and what
/// the others had pushed is still there; only the end of its run ends training (P-2).
#[test]
fn the_chiefs_session_is_lost() {
    let mut optimizer = wrap(1, 1);
    let train_op = apply(&mut optimizer);
    train_op.initialize();
    let computed = AtomicU64::new(0);
    let compute = || match computed.fetch_add(1, Ordering::Relaxed) {
        3 | 5 => Err(RunError::recoverable("the line was cut").into()),
        _ => ones(),
    };
    let last = MonitoredSession::builder(|_: &Coordinator| {
        Ok(train_op.session(ReplicaId::new(0), |_, _| compute()))
    })
    .hook(optimizer.make_session_run_hook(true, None))
    .hook(hooks::StopAtStep::last_step(6))
    .start()
    .expect("it is ready")
    .run_until_stopped()
    .expect("lost sessions are replaced");
    assert!(last.is_some_and(|report| report.global_step >= 6));
    assert!(train_op.trainer().snapshot().global_step.get() >= 6);
    let ended = train_op.trainer().replica(ReplicaId::new(0)).map(|_| ());
    let expected = Err(sync_replicas::engine::JoinError::Ended);
    assert_eq!(ended, expected, "the end of the chief's run is told to all");
}
