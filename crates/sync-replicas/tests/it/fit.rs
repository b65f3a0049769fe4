//! `fit` as a whole: ending, failing replicas, counters, snapshots (P-1, P-2, P-5 to P-8, P-11).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ndarray::array;
use optim::Sgd;
use sync_replicas::options::StepTimeout;
use sync_replicas::record::{Cursor, Record, ReplicaOutcome};
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, ReplicaId, SyncReplicas, Trainer,
    Variables, Work,
};

/// Calls a function for each batch; its gradient is one.
struct Calls<F>(F);

impl<F> Model<f64> for Calls<F>
where
    F: Fn(&Variables<f64>, u64, &Work<'_, f64>) -> Result<(), BoxError> + Sync,
{
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f64>,
        &batch: &u64,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        (self.0)(variables, batch, work)?;
        let gradients = Gradients::new().dense("a", array![1.0]).dense("b", array![1.0]);
        Ok(Some(Computed { loss: 1.0, examples: 8, gradients }))
    }
}

/// Makes the compiler see that the function takes any lifetimes.
fn calls<F>(call: F) -> Calls<F>
where
    F: Fn(&Variables<f64>, u64, &Work<'_, f64>) -> Result<(), BoxError> + Sync,
{
    Calls(call)
}

fn variables() -> Variables<f64> {
    Variables::new()
        .with("a", array![0.0])
        .and_then(|variables| variables.with("b", array![0.0]))
        .expect("two names")
}

fn builder(aggregate: usize, total: usize) -> SyncReplicas<Sgd> {
    let builder = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(aggregate);
    builder.total_num_replicas(total)
}

fn build(aggregate: usize, total: usize) -> Trainer<f64> {
    builder(aggregate, total).build(variables()).expect("the numbers fit")
}

fn endless(_: ReplicaId) -> std::ops::RangeFrom<u64> {
    0..
}

#[test]
fn stops_exactly_and_counts_by_three_names() {
    // P-4: built is started. R-34, P-8: updates, batches, examples
    let trainer = build(3, 3);
    let report = trainer
        .fit(&calls(|_, _, _| Ok(())), endless, Hooks::new().stop_at_step(50))
        .expect("it trains");
    assert_eq!((report.updates, report.global_step), (50, 50));
    // A push that came before the end, to a step that was never made, is none.
    assert_eq!((report.accepted, report.examples), (150, 150 * 8));
    assert_eq!(report.replicas.iter().map(|it| it.tally.accepted).sum::<u64>(), 150);
    assert!(report.batches >= report.accepted);
    assert_eq!(trainer.snapshot().variables.vector("a").expect("it is there")[0], -50.0);
    assert!(report.replicas.iter().all(|replica| replica.outcome == ReplicaOutcome::Finished));
}

// A trainer may train more than once, and each report is of its own part.
#[test]
fn reports_and_the_record_count_each_fit_by_itself() {
    let record = Record::new();
    let trainer = builder(3, 3).record(&record).build(variables()).expect("the numbers fit");
    let mut cursor = Cursor::default();
    for end in [20, 50] {
        let model = calls(|_, _, _| Ok(()));
        let report = trainer.fit(&model, endless, Hooks::new().stop_at_step(end)).expect("it does");
        let tallies = || report.replicas.iter().map(|it| it.tally.accepted);
        assert_eq!((report.accepted, tallies().sum()), (report.updates * 3, report.accepted));
        let news = record.since(&mut cursor);
        let steps: Vec<_> = news.updates.iter().map(|it| it.step).collect();
        assert_eq!(steps, (end - report.updates as i64 + 1..=end).collect::<Vec<_>>());
        assert!(news.updates.iter().all(|it| it.at <= report.elapsed && it.examples == 24));
        for replica in &report.replicas {
            let spans = news.spans.iter().filter(|span| span.replica == replica.replica);
            let mut spans = spans.peekable();
            let first = spans.peek().expect("each computed").start;
            // Each waits or holds a token at any time: no stretch is missing, none counts twice.
            let last = spans.fold(first, |before, span| {
                assert_eq!((span.start, span.start <= span.end), (before, true), "{span:?}");
                span.end
            });
            assert_eq!(last - first, replica.waited + replica.computed);
        }
    }
}

#[test]
fn a_replica_that_fails_or_panics_leaves_and_the_rest_go_on() {
    // P-5
    let trainer = build(3, 3);
    let model = calls(|_, _, work| match (work.replica.get(), work.step.get()) {
        (1, 5..) => Err("out of luck".into()),
        (2, 9..) => std::panic::resume_unwind(Box::new("out of memory")),
        _ => Ok(()),
    });
    let report = trainer.fit(&model, endless, Hooks::new().stop_at_step(40)).expect("one is left");
    assert_eq!(report.updates, 40);
    let failed: Vec<_> = report.failed().map(|(replica, _)| replica.get()).collect();
    assert_eq!(failed, [1, 2]);
    let outcomes: Vec<_> = report.replicas.into_iter().map(|replica| replica.outcome).collect();
    assert_eq!(outcomes[0], ReplicaOutcome::Finished);
    assert_eq!(outcomes[1], ReplicaOutcome::Failed("the model failed: out of luck".to_owned()));
    assert_eq!(outcomes[2], ReplicaOutcome::Panicked("out of memory".to_owned()));
}

#[test]
fn uneven_data_ends_when_all_of_it_is_used() {
    // P-2, P-6: 5, 20 and 40 batches; no replica is left behind
    let trainer = build(3, 3);
    let shard = |replica: ReplicaId| 0..[5, 20, 40][replica.get() as usize];
    let report = trainer.fit(&calls(|_, _, _| Ok(())), shard, Hooks::new()).expect("it trains");
    assert!(report.replicas.iter().all(|replica| replica.outcome == ReplicaOutcome::DataEnded));
    assert_eq!(report.batches, 65);
    assert!(report.updates >= 65 / 3 - 3, "{}", report.updates);
}

#[test]
fn sixty_four_waiting_replicas_wake_at_the_end() {
    // P-1: 64 wait for one that never pushes; the stop wakes all, and nothing is an error.
    let trainer = build(65, 65);
    let stop = trainer.stop_handle();
    let waiting = Arc::new(AtomicU64::new(0));
    let pushed = Arc::clone(&waiting);
    let model = calls(move |_, _, work| {
        if work.replica.get() < 64 {
            pushed.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        while pushed.load(Ordering::SeqCst) < 64 {
            std::thread::yield_now();
        }
        stop.stop("nobody else comes");
        assert!(work.pause(Duration::from_secs(3600)), "the end cuts a pause short");
        Ok(())
    });
    let report = trainer.fit(&model, endless, Hooks::new()).expect("a stop is no error");
    assert_eq!((report.updates, report.stopped.as_str()), (0, "nobody else comes"));
    assert!(report.replicas.iter().all(|replica| replica.outcome == ReplicaOutcome::Finished));
}

#[test]
fn a_reader_never_sees_two_versions_mixed() {
    // P-11, R-29: both variables fall together, with and without locking
    for locking in [true, false] {
        let trainer = SyncReplicas::new(Sgd::new(1.0))
            .replicas_to_aggregate(2)
            .use_locking(locking)
            .build(variables())
            .expect("the numbers fit");
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) == 0 {
                    let snapshot = trainer.snapshot();
                    let [a, b] = ["a", "b"]
                        .map(|name| snapshot.variables.vector(name).expect("it is there")[0]);
                    assert_eq!(a, b);
                    assert_eq!(a, -(snapshot.global_step.get() as f64));
                }
            });
            let hooks = Hooks::new().stop_at_step(300);
            let trained = trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks);
            done.store(1, Ordering::SeqCst);
            assert_eq!(trained.expect("it trains").updates, 300);
        });
    }
}

#[test]
fn a_slow_replica_never_holds_a_step() {
    // R-22, P-13: one of three takes for ever; it is told, gives up, and starts afresh
    let trainer = build(2, 3);
    let model = calls(|_, _, work| {
        if work.replica.get() == 2 && work.pause(Duration::from_secs(3600)) {
            return Ok(());
        }
        Ok(())
    });
    let report = trainer.fit(&model, endless, Hooks::new().stop_at_step(100)).expect("it trains");
    assert_eq!(report.updates, 100);
    assert_eq!(report.replicas[2].tally.accepted, 0);
    assert!(report.elapsed < Duration::from_secs(60));
}

#[test]
fn hooks_see_every_update_in_order() {
    //
    let trainer = build(2, 2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&seen);
    let hooks = Hooks::new().stop_at_step(10).every(2, move |chief, report| {
        let snapshot = chief.snapshot();
        assert_eq!(snapshot.global_step.get(), report.global_step, "between two updates");
        theirs.lock().map_err(|_| "poisoned")?.push((report.global_step, report.loss));
        Ok(())
    });
    trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks).expect("it trains");
    let expected: Vec<_> = (1..=5).map(|k| (2 * k, Some(1.0))).collect();
    assert_eq!(*seen.lock().expect("not poisoned"), expected);
}

#[test]
fn a_failing_hook_ends_training_with_its_error() {
    let trainer = build(2, 2);
    let hooks = Hooks::new().every(3, |_, _| Err("the disk is full".into()));
    let failed = trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks);
    let error = failed.expect_err("the hook failed");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(text.contains("the disk is full"), "{text}");
    assert_eq!(trainer.snapshot().global_step.get(), 3);
}

#[test]
fn two_trainers_do_not_collide() {
    // P-10
    let (one, two) = (build(2, 2), build(2, 2));
    std::thread::scope(|scope| {
        for (trainer, steps) in [(&one, 30), (&two, 50)] {
            scope.spawn(move || {
                let hooks = Hooks::new().stop_at_step(steps);
                trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks).expect("it trains");
            });
        }
    });
    let at = |trainer: &Trainer<f64>| trainer.snapshot().variables.vector("a").expect("there")[0];
    assert_eq!((at(&one), at(&two)), (-30.0, -50.0));
}

#[test]
fn the_reference_preset_tells_loss_and_average_of_the_whole_step() {
    // P-10, P-16, R-34: with a lane for each variable the report comes with the last one, and yet
    // has what came with the first. The guard was blind there once.
    let trainer = SyncReplicas::new(Sgd::new(1.0))
        .reference()
        .replicas_to_aggregate(2)
        .observe_gradients(true)
        .build(variables())
        .expect("the numbers fit");
    let hooks = Hooks::new().stop_at_step(5).every(1, |_, report| {
        assert_eq!((report.loss, report.scalar("examples")), (Some(1.0), Some(16.0)));
        Ok(())
    });
    trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks).expect("it trains");
    let average = trainer.last_average().expect("it is kept");
    assert_eq!(average.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_stuck_replica_loses_its_token_and_not_the_step() {
    // P-28: both are needed, one is stuck until the other has made ten steps without it
    let limit = StepTimeout::After(Duration::from_millis(20));
    let trainer = builder(2, 2).step_timeout(limit).build(variables());
    let trainer = trainer.expect("the numbers fit");
    let (go, may_go) = mpsc::sync_channel(1);
    let may_go = Mutex::new(may_go);
    let model = calls(|_, _, work| {
        if (work.replica.get(), work.step.get()) == (1, 3) {
            may_go.lock().map_err(|_| "poisoned")?.recv()?;
        }
        Ok(())
    });
    let hooks = Hooks::new().stop_at_step(14).every(1, move |_, report| {
        if report.global_step == 13 {
            go.send(())?;
        }
        Ok(())
    });
    let report = trainer.fit(&model, endless, hooks).expect("it trains");
    assert_eq!(report.updates, 14);
    assert!(report.replicas[1].tally.expired >= 1);
    assert!(report.replicas.iter().all(|replica| replica.outcome == ReplicaOutcome::Finished));
}

/// Tells when it is dropped, which is when its replica has left.
struct Leaves(Option<mpsc::SyncSender<()>>);

impl BatchSource for Leaves {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        if let Some(left) = &self.0 {
            let _ = left.try_send(());
        }
    }
}

#[test]
fn a_step_that_is_overdue_says_who_is_missing() {
    // P-5: the one that waits fails, and the stuck one goes on by itself
    let trainer = builder(2, 2).step_deadline(Duration::from_millis(500)).build(variables());
    let trainer = trainer.expect("the numbers fit");
    let (left, has_left) = mpsc::sync_channel(1);
    let has_left = Mutex::new(has_left);
    let model = calls(|_, _, work| {
        if (work.replica.get(), work.step.get()) == (1, 3) {
            has_left.lock().map_err(|_| "poisoned")?.recv()?;
        }
        Ok(())
    });
    let shard = |replica: ReplicaId| Leaves((replica.get() == 0).then(|| left.clone()));
    let report = trainer.fit(&model, shard, Hooks::new().stop_at_step(8)).expect("one is left");
    let ReplicaOutcome::Failed(reason) = &report.replicas[0].outcome else {
        panic!("{:?}", report.replicas[0])
    };
    let told = "step 3 is overdue: 1 of 2 gradients are in, and replica 1 has not pushed";
    assert!(reason.starts_with(told), "{reason}");
    assert_eq!(report.updates, 8);
}

/// A hook that loses the session at some calls.
struct Lossy {
    before: Vec<u64>,
    after: Vec<u64>,
    calls: [u64; 2],
}

impl hooks::Hook<sync_replicas::ChiefSession<f64>> for Lossy {
    fn before_run(
        &mut self,
        _: &mut sync_replicas::ChiefSession<f64>,
        _: &hooks::RunContext<'_>,
    ) -> Result<(), hooks::Failure> {
        self.calls[0] += 1;
        lost(self.before.contains(&self.calls[0]))
    }

    fn after_run(
        &mut self,
        _: &mut sync_replicas::ChiefSession<f64>,
        _: &hooks::RunContext<'_>,
        _: &hooks::StepReport,
    ) -> Result<(), hooks::Failure> {
        self.calls[1] += 1;
        lost(self.after.contains(&self.calls[1]))
    }
}

fn lost(lost: bool) -> Result<(), hooks::Failure> {
    if lost { Err(hooks::Failure::recoverable("the line was cut")) } else { Ok(()) }
}

#[test]
fn an_update_is_made_once_however_often_its_session_is_lost() {
    // before an update, twice in a row, and after one; nothing is lost and nothing doubled
    let trainer = build(2, 2);
    let lossy = Lossy { before: vec![3, 4], after: vec![5], calls: [0; 2] };
    let hooks = Hooks::new().hook(lossy).stop_at_step(20);
    let report = trainer.fit(&calls(|_, _, _| Ok(())), endless, hooks).expect("it trains");
    assert_eq!(report.updates, 20);
    assert_eq!(trainer.snapshot().variables.vector("a").expect("it is there")[0], -20.0);
}
