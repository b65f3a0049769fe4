//! What is wished, or goes wrong, in the middle of something: a stop in an update, an update that
//! fails half-way, a hook without end, a checkpoint between two variables, another number of
//! replicas.
//!
//! Gradients are -1 and the rate is 1, so variables equal the step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ndarray::array;
use optim::{HyperParameterError, Optimizer, Schedule, Sgd, Step, Tile};
use sync_replicas::checkpoint::CheckpointError;
use sync_replicas::error::FitError;
use sync_replicas::options::{StepTimeout, SummationOrder};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, Outcome, ReplicaId, StopHandle, SyncReplicas,
    Trainer, Variables, Work, checkpoint,
};

/// SGD that calls something in each kernel call.
struct Calling<F>(Schedule, F);

impl<F> std::fmt::Debug for Calling<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calling")
    }
}

impl<F: Fn() + Send + Sync> Optimizer<f64> for Calling<F> {
    fn name(&self) -> &'static str {
        "calling"
    }

    fn learning_rate(&self) -> &Schedule {
        &self.0
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    fn update(&self, _: &Step<'_>, tile: Tile<'_, f64>) {
        (self.1)();
        tile.variable.iter_mut().zip(tile.gradient).for_each(|(to, &by)| *to -= by);
    }
}

fn calling(call: impl Fn() + Send + Sync + 'static) -> impl Optimizer<f64> + 'static {
    Calling(1.0.into(), call)
}

/// All variables, by -1.
struct Down;

impl Model<f64> for Down {
    type Batch = ();

    fn gradients(
        &self,
        variables: &Variables<f64>,
        (): &(),
        _: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        let names = variables.names().map(str::to_owned);
        let gradients = names.fold(Gradients::new(), |all, name| all.dense(name, array![-1.0]));
        Ok(Some(Computed { loss: 1.0, examples: 1, gradients }))
    }
}

fn ab() -> Variables<f64> {
    Variables::new().with("a", array![0.0]).and_then(|it| it.with("b", array![0.0])).expect("names")
}

fn fit(trainer: &Trainer<f64>, hooks: Hooks<f64>) -> Result<sync_replicas::Report, FitError> {
    trainer.fit(&Down, |_| std::iter::repeat(()), hooks)
}

fn values(variables: &Variables<f64>) -> Vec<f64> {
    variables.iter().map(|(_, array)| array.sum()).collect()
}

#[track_caller]
fn check_step(trainer: &Trainer<f64>, step: i64) {
    let snapshot = trainer.snapshot();
    assert_eq!(snapshot.global_step.get(), step);
    assert!(values(&snapshot.variables).iter().all(|&value| value == step as f64));
}

// P-1: its step, its averages and its hooks come with it.
#[test]
fn a_stop_in_the_middle_of_an_update_tears_nothing() {
    for locking in [true, false] {
        let (calls, stop) = (AtomicUsize::new(0), Arc::new(Mutex::new(None::<StopHandle>)));
        let theirs = Arc::clone(&stop);
        let optimizer = calling(move || {
            // Between the two variables of the third update.
            if calls.fetch_add(1, Ordering::SeqCst) == 5
                && let Some(stop) = &*theirs.lock().expect("nobody panics")
            {
                stop.stop("just now");
            }
        });
        let trainer = SyncReplicas::new(optimizer).use_locking(locking).moving_average(0.0);
        let trainer = trainer.build(ab()).expect("it fits");
        *stop.lock().expect("nobody panics") = Some(trainer.stop_handle());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&seen);
        let hooks = Hooks::new().every(1, move |_, report| {
            theirs.lock().expect("nobody panics").push(report.global_step);
            Ok(())
        });
        let report = fit(&trainer, hooks).expect("a stop is no error");
        assert_eq!((report.updates, &*report.stopped), (3, "just now"));
        assert_eq!(*seen.lock().expect("nobody panics"), [1, 2, 3]);
        check_step(&trainer, 3);
        assert_eq!(values(&trainer.averages().expect("they are kept")), [3.0, 3.0]);
        fit(&trainer, Hooks::new().stop_at_step(10)).expect("it goes on");
        check_step(&trainer, 10);
    }
}

// P-11: nothing is saved and nothing trained on before a restore.
#[test]
fn after_half_an_update_only_a_restore_helps() {
    for locking in [true, false] {
        let calls = AtomicUsize::new(0);
        let optimizer = calling(move || {
            assert!(calls.fetch_add(1, Ordering::SeqCst) != 5, "a kernel's bug");
        });
        let trainer = SyncReplicas::new(optimizer).use_locking(locking);
        let trainer = trainer.build(ab()).expect("it fits");
        let folder = tempfile::tempdir().expect("a folder");
        let good = trainer.save(folder.path(), 1).expect("it is whole");
        fit(&trainer, Hooks::new()).expect_err("the update panics");
        let saved = trainer.save(folder.path(), 1).expect_err("there is no whole state");
        assert!(matches!(saved, CheckpointError::Torn { .. }), "{saved}");
        let again = fit(&trainer, Hooks::new()).expect_err("there is nothing to train on");
        assert!(matches!(again, FitError::Torn(_)), "{again}");
        if !locking {
            assert_eq!(values(&trainer.snapshot().variables), [2.0, 2.0]);
        }
        trainer.restore(&good).expect("it is whole");
        fit(&trainer, Hooks::new().stop_at_step(4)).expect("it goes on");
        check_step(&trainer, 4);
    }
}

// P-5: an optimizer that asks for what it is writing would wait for itself.
#[test]
fn an_optimizer_that_asks_for_its_own_variables_is_told_so() {
    let slot = Arc::new(Mutex::new(None::<Arc<Trainer<f64>>>));
    let theirs = Arc::clone(&slot);
    let optimizer = calling(move || {
        if let Some(trainer) = &*theirs.lock().unwrap_or_else(|it| it.into_inner()) {
            drop(trainer.snapshot());
        }
    });
    let trainer = Arc::new(SyncReplicas::new(optimizer).build(ab()).expect("it fits"));
    *slot.lock().expect("nobody panics") = Some(Arc::clone(&trainer));
    let error = fit(&trainer, Hooks::new()).expect_err("it cannot be").to_string();
    assert!(error.contains("an optimizer asked for the variables"), "{error}");
    *slot.lock().unwrap_or_else(|it| it.into_inner()) = None;
}

// P-5: hooks that take longer than the step's timeout and deadline cost no replica anything.
#[test]
fn replicas_do_not_pay_for_hooks() {
    let pause = Duration::from_millis(60);
    for (aggregate, total) in [(3, 4), (3, 3), (1, 1)] {
        let trainer = SyncReplicas::new(Sgd::new(1.0))
            .replicas_to_aggregate(aggregate)
            .total_num_replicas(total)
            .step_timeout(StepTimeout::After(pause / 4))
            .step_deadline(pause / 3)
            .build(ab())
            .expect("it fits");
        let hooks = Hooks::new().stop_at_step(6).every(2, move |chief, _| {
            let never = chief.snapshot().variables.clone();
            // The clock's own wait, which nothing ends sooner.
            let (lock, changed) = (Mutex::new(never), std::sync::Condvar::new());
            let guard = lock.lock().expect("nobody else has it");
            drop(changed.wait_timeout(guard, pause).expect("nobody else has it"));
            Ok(())
        });
        let report = fit(&trainer, hooks).expect("nothing is wrong");
        assert_eq!(report.updates, 6, "{aggregate} of {total}");
        for replica in &report.replicas {
            let outcome = &replica.outcome;
            assert_eq!(
                outcome,
                &sync_replicas::record::ReplicaOutcome::Finished,
                "{aggregate} of {total}"
            );
        }
    }
}

fn push(trainer: &Trainer<f64>, names: &[&'static str]) -> Outcome {
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    let step = replica.next_step().expect("nobody is overdue").expect("it goes on");
    let gradients = names.iter().fold(Gradients::new(), |all, name| all.dense(*name, array![-1.0]));
    step.push(gradients).expect("it fits")
}

// P-11, P-16: where each variable is admitted for itself.
#[test]
fn a_variable_that_was_left_out_comes_later_and_checkpoints_are_whole() {
    let build = || {
        let builder = SyncReplicas::new(Sgd::new(1.0)).reference().replicas_to_aggregate(1);
        builder.total_num_replicas(2).build(ab()).expect("it fits")
    };
    let trainer = build();
    assert!(push(&trainer, &["a"]).is_accepted());
    assert_eq!(trainer.snapshot().global_step.get(), 1, "only one has a gradient so far");
    assert!(push(&trainer, &["b"]).is_accepted());
    assert!(push(&trainer, &["a", "b"]).is_accepted());

    let trainer = build();
    assert!(push(&trainer, &["a", "b"]).is_accepted());
    assert!(push(&trainer, &["a"]).is_accepted());
    assert_eq!(values(&trainer.snapshot().variables), [2.0, 1.0], "readers see it half made");
    let folder = tempfile::tempdir().expect("a folder");
    let saved = trainer.save(folder.path(), 1).expect("it is whole");
    let state = checkpoint::read::<f64>(&saved).expect("it is whole");
    assert_eq!((state.global_step.get(), values(&state.variables)), (1, vec![1.0, 1.0]));
    // Nor does the next generation see it.
    trainer.stop_handle().stop("half-way");
    fit(&trainer, Hooks::new().stop_at_step(4)).expect("it goes on");
    check_step(&trainer, 4);
}

/// Every replica pushes in its turn, until so many steps are made; the numbers of their batches.
fn numbers(trainer: &Trainer<f64>, replicas: u64, steps: i64) -> Vec<u64> {
    let ids = (0..replicas).map(ReplicaId::new);
    let mut replicas: Vec<_> = ids.map(|id| trainer.replica(id).expect("it is free")).collect();
    let end = trainer.snapshot().global_step.get() + steps;
    let mut numbers = Vec::new();
    while trainer.snapshot().global_step.get() < end {
        for replica in &mut replicas {
            let step = replica.next_step().expect("nobody is overdue").expect("it goes on");
            numbers.push(step.number());
            let gradients = Gradients::new().dense("a", array![-1.0]).dense("b", array![-1.0]);
            step.push(gradients).expect("it fits");
        }
    }
    numbers
}

// P-9, P-14: whatever the numbers of replicas, and in either order.
#[test]
fn no_batch_is_repeated_or_skipped_in_another_number_of_replicas() {
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        for lives in [[4_u64, 2, 4], [2, 4, 2], [3, 3, 1], [1, 5, 3]] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut seen = Vec::new();
            for (life, &replicas) in lives.iter().enumerate() {
                let builder = SyncReplicas::new(Sgd::new(1.0)).order(order);
                let builder = builder.replicas_to_aggregate(replicas as usize);
                let trainer = builder.build(ab()).expect("it fits");
                if life > 0 {
                    trainer.restore(folder.path()).expect("it fits");
                }
                seen.extend(numbers(&trainer, replicas, 7));
                trainer.save(folder.path(), 1).expect("it is whole");
            }
            seen.sort_unstable();
            let expected: Vec<u64> = (0..seen.len() as u64).collect();
            assert_eq!(seen, expected, "{order:?}, {lives:?}");
        }
    }
}
