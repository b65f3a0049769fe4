//! Lives of the shared state: what an earlier one left never reaches the next (P-9), and who waits
//! in an old one is told (P-1).

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ndarray::array;
use optim::Momentum;
use sync_replicas::error::{FitError, WaitError};
use sync_replicas::record::ReplicaOutcome;
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, ReplicaId, SyncReplicas, Trainer, Variables, Work,
};

struct Calls<F>(F);

impl<F> Model<f64> for Calls<F>
where
    F: Fn(&Work<'_, f64>) + Sync,
{
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f64>,
        _: &u64,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        (self.0)(work);
        Ok(Some(Computed { loss: 1.0, examples: 1, gradients: ones() }))
    }
}

/// Makes the compiler see that the function takes any lifetime.
fn calls<F: Fn(&Work<'_, f64>) + Sync>(call: F) -> Calls<F> {
    Calls(call)
}

fn ones() -> Gradients<f64> {
    Gradients::new().dense("w", array![1.0])
}

fn build(aggregate: usize) -> Trainer<f64> {
    let variables = Variables::new().with("w", array![0.0]).expect("one name");
    let builder = SyncReplicas::new(Momentum::new(1.0, 0.5)).replicas_to_aggregate(aggregate);
    builder.build(variables).expect("it is valid")
}

/// A folder with a checkpoint of the very start.
fn saved(trainer: &Trainer<f64>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    trainer.save(folder.path(), 1).expect("it can be written");
    folder
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_is_woken_by_a_restore_and_told() {
    let trainer = build(2);
    let folder = saved(&trainer);
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("no deadline").expect("it has begun");
    step.push(ones()).expect("it fits");
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut wait = pin!(replica.next_step_async());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    trainer.restore(folder.path()).expect("it is good");
    assert!(flag.0.load(Ordering::SeqCst), "it was woken");
    let told = wait.poll(&mut Context::from_waker(&waker));
    assert!(matches!(told, Poll::Ready(Err(WaitError::Refused(_)))));
}

#[test]
fn who_computes_for_an_old_life_is_told() {
    // P-13
    let trainer = build(2);
    let folder = saved(&trainer);
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("no deadline").expect("it has begun");
    assert!(!step.work().pause(Duration::from_millis(1)));
    trainer.restore(folder.path()).expect("it is good");
    assert!(step.work().pause(Duration::MAX), "it does not wait for ever");
}

#[test]
fn a_restore_amid_a_fit_ends_that_fit_alone() {
    let trainer = build(2);
    let folder = saved(&trainer);
    let (begun, wait) = mpsc::sync_channel(1);
    let model = calls(|work| {
        if work.replica.get() == 0 && work.step.get() == 5 {
            let _ = begun.try_send(());
            assert!(work.pause(Duration::from_secs(3600)), "it was told");
        }
    });
    let failed = std::thread::scope(|scope| {
        let fit = scope.spawn(|| trainer.fit(&model, |_| 0.., Hooks::new()));
        wait.recv().expect("it gets that far");
        trainer.restore(folder.path()).expect("it is good");
        fit.join().expect("no panic")
    });
    assert!(matches!(failed, Err(FitError::Restored)), "{failed:?}");
    check_as_new(&trainer);
}

/// By hand, as no other trainer would: the numbers tell whether anything old is left.
#[track_caller]
fn check_as_new(trainer: &Trainer<f64>) {
    let other = build(2);
    let ends = [trainer, &other].map(|trainer| {
        let mut replicas =
            [0, 1].map(|id| trainer.replica(ReplicaId::new(id)).expect("training goes on"));
        for _ in 0..3 {
            for replica in &mut replicas {
                let step = replica.next_step().expect("no deadline").expect("it goes on");
                step.push(ones()).expect("it fits");
            }
        }
        let snapshot = trainer.snapshot();
        let w = snapshot.variables.vector("w").expect("it is there").to_owned();
        (snapshot.global_step, w, trainer.slot("w", "momentum"))
    });
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn restores_that_race_with_updates_leave_nothing_behind() {
    // P-11: variables, slots and step of the checkpoint, or of updates made since, never mixed
    let trainer = build(1);
    let folder = saved(&trainer);
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let trainer = &trainer;
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                let Ok(mut replica) = trainer.replica(ReplicaId::new(0)) else { continue };
                while let Ok(Some(step)) = replica.next_step() {
                    if done.load(Ordering::SeqCst) || step.push(ones()).is_err() {
                        break;
                    }
                }
            }
        });
        for _ in 0..300 {
            check_restore(trainer, folder.path());
        }
        done.store(true, Ordering::SeqCst);
        trainer.stop_handle().stop("done");
    });
}

/// Whatever the state is, the step tells all the rest of it.
#[track_caller]
fn check_restore(trainer: &Trainer<f64>, folder: &Path) {
    trainer.restore(folder).expect("it is good");
    let state = trainer.training_state().expect("it is whole");
    let (mut w, mut slot) = (0.0, 0.0);
    for _ in 0..state.global_step.get() {
        slot = 0.5 * slot + 1.0;
        w -= slot;
    }
    assert_eq!(state.variables.vector("w").expect("it is there")[0], w, "{state:?}");
    let saved = format!("{:?}", state.optimizer_state);
    assert!(saved.contains(&format!("{slot:?}")), "{slot} in {saved}");
}

#[test]
fn two_threads_cannot_fit_one_trainer() {
    let trainer = build(2);
    let report = std::thread::scope(|scope| {
        let (begun, wait) = mpsc::sync_channel(1);
        let (go, may_go) = mpsc::sync_channel::<()>(0);
        let trainer = &trainer;
        let fit = scope.spawn(move || {
            let hooks = Hooks::new().stop_at_step(10).every(5, move |_, _| {
                let _ = begun.try_send(());
                let _ = may_go.recv();
                Ok(())
            });
            trainer.fit(&calls(|_| ()), |_| 0.., hooks)
        });
        wait.recv().expect("it gets that far");
        let second = trainer.fit(&calls(|_| ()), |_| 0.., Hooks::new().stop_at_step(1));
        assert!(matches!(second, Err(FitError::Running)), "{second:?}");
        drop(go);
        fit.join().expect("no panic").expect("it trains")
    });
    assert_eq!(report.updates, 10);
    assert!(report.replicas.iter().all(|replica| replica.outcome == ReplicaOutcome::Finished));
}

#[test]
fn an_old_handle_adds_nothing_to_a_later_report() {
    let trainer = build(1);
    let folder = saved(&trainer);
    let mut old = trainer.replica(ReplicaId::new(0)).expect("it is free");
    for _ in 0..7 {
        let step = old.next_step().expect("no deadline").expect("it has begun");
        step.push(ones()).expect("it fits");
    }
    trainer.restore(folder.path()).expect("it is good");
    drop(old);
    let hooks = Hooks::new().stop_at_step(2);
    let report = trainer.fit(&calls(|_| ()), |_| 0.., hooks).expect("it trains");
    assert!(report.replicas[0].batches <= 3, "{report:?}");
}

#[test]
fn times_without_end_are_no_limit() {
    // P-5: a lease and a deadline that never run out
    let variables = Variables::new().with("w", array![0.0]).expect("one name");
    let trainer = SyncReplicas::new(Momentum::new(1.0, 0.5))
        .replicas_to_aggregate(2)
        .lease(Duration::MAX)
        .step_deadline(Duration::MAX)
        .build(variables)
        .expect("it is valid");
    let hooks = Hooks::new().stop_at_step(5);
    assert_eq!(trainer.fit(&calls(|_| ()), |_| 0.., hooks).expect("it trains").updates, 5);
}
