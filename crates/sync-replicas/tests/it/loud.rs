//! Replicas that fail are loud: told when it happens, and too many of them end training (P-5).

use std::time::Duration;

use ndarray::array;
use optim::Sgd;
use sync_replicas::error::{BuildError, FitError};
use sync_replicas::options::{FailingBatch, SummationOrder};
use sync_replicas::record::{Cursor, Record};
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, ReplicaId, Report, SyncReplicas,
    Trainer, Variables, Work,
};

use crate::tensorflow::Log;

/// Each replica does as its letter says, from the third step on.
struct Fates(&'static str);

impl Model<f64> for Fates {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f64>,
        _: &u64,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        match self.0.as_bytes().get(work.replica.get() as usize) {
            Some(b'f') if work.step.get() >= 3 => return Err("out of luck".into()),
            Some(b'p') if work.step.get() >= 3 => {
                std::panic::resume_unwind(Box::new("out of memory"))
            }
            Some(b'n') => return Ok(None),
            _ => {}
        }
        let gradients = Gradients::new().dense("w", array![1.0]);
        Ok(Some(Computed { loss: 1.0, examples: 8, gradients }))
    }
}

fn builder(replicas: usize) -> SyncReplicas<Sgd> {
    SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(replicas)
}

fn build(builder: SyncReplicas<Sgd>) -> Result<Trainer<f64>, BuildError> {
    builder.build(Variables::new().with("w", array![0.0]).expect("one name"))
}

/// Trains to step 20; the data of an `e` ends after two batches.
fn fit(trainer: &Trainer<f64>, fates: &'static str) -> Result<Report, FitError> {
    let shard = |replica: ReplicaId| {
        let ends = fates.as_bytes().get(replica.get() as usize) == Some(&b'e');
        0..if ends { 2 } else { u64::MAX }
    };
    trainer.fit(&Fates(fates), shard, Hooks::new().stop_at_step(20))
}

/// `-` goes on, `f` fails, `p` panics, `e` has no more data; and the error, if there is one.
#[track_caller]
fn check(fates: &'static str, min_replicas: usize, error: Option<&str>) {
    let trainer = build(builder(fates.len()).min_replicas(min_replicas)).expect("it fits");
    match (fit(&trainer, fates), error) {
        (Ok(report), None) => {
            let failed: Vec<u64> = report.failed().map(|(replica, _)| replica.get()).collect();
            let expected = fates.bytes().zip(0..).filter(|(fate, _)| b"fp".contains(fate));
            assert_eq!(failed, expected.map(|(_, replica)| replica).collect::<Vec<u64>>());
        }
        (Err(got), Some(expected)) => {
            assert!(matches!(got, FitError::TooFewReplicas { .. }), "{got:?}");
            assert_eq!(got.to_string(), expected);
        }
        (got, _) => panic!("{got:?}"),
    }
}

#[test]
fn fewer_than_the_fewest_end_training() {
    check("f--", 2, None);
    check("fp-", 1, None);
    check("fe-", 2, None);
    check("f", 1, Some("the only replica failed: replica 0: the model failed: out of luck"));
    check(
        "fp",
        1,
        Some(
            "all 2 replicas failed: replica 0: the model failed: out of luck; \
             replica 1: out of memory",
        ),
    );
    check(
        "-f-",
        3,
        Some(
            "1 of 3 replicas failed and 2 are left, but min_replicas is 3: \
             replica 1: the model failed: out of luck",
        ),
    );
}

#[test]
fn a_trainer_whose_replicas_failed_can_go_on() {
    let trainer = build(builder(2).min_replicas(2)).expect("it fits");
    assert!(fit(&trainer, "f-").is_err());
    let report = fit(&trainer, "--").expect("none fails now");
    assert_eq!(report.global_step, 20);
}

#[test]
fn numbers_that_cannot_be_left_are_refused() {
    for got in [0, 4] {
        let error = build(builder(3).min_replicas(got)).err();
        assert!(matches!(error, Some(BuildError::MinReplicas { total: 3, got: it }) if it == got));
    }
}

/// Nothing that a description says is dropped in silence where it is carried out elsewhere.
#[test]
fn what_is_for_one_process_is_refused_elsewhere() {
    for (description, expected) in [
        (builder(3).min_replicas(2), "min_replicas"),
        (builder(3).use_locking(false), "use_locking"),
        (builder(3).observe_gradients(true), "observe_gradients"),
    ] {
        match description.into_parts() {
            Err(BuildError::OneProcessOnly { option, .. }) => assert_eq!(option, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let parts = builder(3).lease(Duration::from_secs(7)).into_parts().expect("it fits");
    assert_eq!(parts.lease, Some(Duration::from_secs(7)));
}

#[test]
fn a_model_that_always_gives_up_hits_the_step_deadline() {
    // P-5: no replica ever waits, so that there is no wait to fail
    let trainer = build(builder(3).step_deadline(Duration::from_millis(50))).expect("it fits");
    let Err(FitError::TooFewReplicas { failed, .. }) = fit(&trainer, "nnn") else {
        panic!("it trained")
    };
    for (replica, reason) in failed {
        assert!(reason.starts_with("step 0 is overdue: 0 of 3 gradients"), "{replica}: {reason}");
    }
}

/// By choice it goes on without the batch, unless too few replicas are left (P-5). Without backups
/// one replica at a time has it.
#[test]
fn by_choice_a_deadly_batch_is_left_out() {
    #[track_caller]
    fn check(replicas: usize, goes_on: bool) {
        let skip =
            builder(replicas).order(SummationOrder::Replica).failing_batch(FailingBatch::Skip);
        let trainer = build(skip).expect("it fits");
        let fitted = trainer.fit(&Deadly(15), |_| Batches, Hooks::new().stop_at_step(20));
        match fitted {
            Ok(report) if goes_on => {
                let left_out = report.replicas.iter().map(|it| it.tally.failed_batches);
                assert_eq!((report.failed().count(), left_out.sum::<u64>()), (3, 1));
                assert_eq!(report.global_step, 20);
            }
            Err(FitError::TooFewReplicas { failed, .. }) if !goes_on => {
                assert_eq!(failed.len(), 3);
            }
            other => panic!("{other:?}"),
        }
    }
    check(6, true);
    check(4, true);
    check(3, false);
}

/// Fails at one batch.
struct Deadly(u64);

impl Model<f64> for Deadly {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f64>,
        &batch: &u64,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        match (batch == self.0, work.replica.get() % 2) {
            (true, 0) => Err("bad pixels".into()),
            (true, _) => std::panic::resume_unwind(Box::new("bad pixels")),
            (false, _) => {
                let gradients = Gradients::new().dense("w", array![1.0]);
                Ok(Some(Computed { loss: 1.0, examples: 8, gradients }))
            }
        }
    }
}

#[test]
fn a_deadly_batch_is_tried_by_three_and_named() {
    // P-5: in replica order it goes to another replica, and would go round
    #[track_caller]
    fn check(order: SummationOrder, failed: usize, named: bool) {
        let trainer = build(builder(6).order(order)).expect("it fits");
        let shard = |_| Batches;
        match trainer.fit(&Deadly(15), shard, Hooks::new().stop_at_step(20)) {
            Err(FitError::Batch { number: 15, failed: them }) if named => {
                assert_eq!(them.len(), failed, "{them:?}");
                assert!(them.iter().all(|(_, reason)| reason.contains("bad pixels")), "{them:?}");
            }
            Ok(report) if !named => assert_eq!(report.failed().count(), failed),
            other => panic!("{order:?}: {other:?}"),
        }
    }
    check(SummationOrder::Replica, 3, true);
    check(SummationOrder::Arrival, 1, false);
}

/// Every batch is its number.
struct Batches;

impl BatchSource for Batches {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

#[test]
fn a_failure_is_a_warning_when_it_happens() {
    // Training ends once both were told of, so not before the end.
    let (trainer, log) = (build(builder(3)).expect("it fits"), Log::default());
    let told = log.clone();
    let stop = trainer.stop_handle();
    let hooks = Hooks::new().every(1, move |_, _| {
        let lines = told.0.lock().map_err(|_| "a panic")?.join("\n");
        let all =
            ["replica=replica 1 reason=\"the model failed: out of luck\"", "\"out of memory\""];
        if all.iter().all(|words| lines.contains(words)) {
            stop.stop("both were told of");
        }
        Ok(())
    });
    let shard = |_| {
        // For the rest of this replica's thread.
        std::mem::forget(tracing::subscriber::set_default(log.clone()));
        tracing::callsite::rebuild_interest_cache();
        0_u64..
    };
    let report = trainer.fit(&Fates("-fp"), shard, hooks).expect("one is left");
    assert_eq!(report.stopped, "both were told of");
}

/// P-24: a full disk ends no training; what was trained last is saved once there is room.
#[test]
fn a_save_that_fails_is_told_of_and_the_last_one_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    let (record, mut cursor) = (Record::new(), Cursor::default());
    // Nothing can be written into a folder in whose place a file is.
    std::fs::write(&path, "").expect("it is writable");
    let trainer = build(builder(2).record(&record)).expect("it is valid");
    let mut lost = Vec::new();
    std::thread::scope(|scope| {
        let hooks = Hooks::new().checkpoints(&path, 8, 2).stop_at_step(20);
        let fit = scope.spawn(|| trainer.fit(&Fates("cc"), |_| 0.., hooks));
        while lost.last() != Some(&20) {
            lost.extend(record.since(&mut cursor).failed_saves.iter().map(|failed| failed.step));
            std::thread::yield_now();
        }
        std::fs::remove_file(&path).expect("it is there");
        let report = fit.join().expect("no panic").expect("it is saved in the end");
        assert_eq!(report.global_step, 20);
    });
    assert!(lost.starts_with(&[8, 16, 20]) && lost[2..].iter().all(|step| *step == 20), "{lost:?}");
    let newest = sync_replicas::checkpoint::latest(&path).expect("a folder").expect("one");
    assert!(newest.ends_with("checkpoint-000000020"), "{newest:?}");
}
