//! Panics of the user's own code, wherever it is called: no replica is left waiting (P-1, P-5).

use ndarray::array;
use optim::{HyperParameterError, Optimizer, Schedule, Sgd, Step, Tile};
use sync_replicas::error::{FitError, WaitError};
use sync_replicas::options::SummationOrder;
use sync_replicas::record::ReplicaOutcome;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, ReplicaId, SyncReplicas, Trainer,
    Variables, Work,
};

struct Ones;

impl Model<f64> for Ones {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f64>,
        _: &u64,
        _: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        let gradients = Gradients::new().dense("w", array![1.0]);
        Ok(Some(Computed { loss: 1.0, examples: 1, gradients }))
    }
}

fn variables() -> Variables<f64> {
    Variables::new().with("w", array![0.0]).expect("one name")
}

fn build(reference: bool) -> Trainer<f64> {
    let mut builder = SyncReplicas::new(Sgd::new(1.0));
    if reference {
        builder = builder.reference();
    }
    let builder = builder.replicas_to_aggregate(2).total_num_replicas(3);
    builder.build(variables()).expect("it is valid")
}

/// As `panic!` would, but silently.
fn panic_with(text: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(text))
}

/// Ends with the panic's words, and can be called again.
#[track_caller]
fn check_told(trainer: &Trainer<f64>, hooks: Hooks<f64>, step: i64) {
    match trainer.fit(&Ones, |_| 0.., hooks) {
        Err(FitError::Update { reason }) => assert!(reason.contains("oh no"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(trainer.snapshot().global_step.get(), step);
    let again = trainer.fit(&Ones, |_| 0.., Hooks::new().stop_at_step(step + 5));
    assert_eq!(again.expect("it trains").updates, 5);
}

#[test]
fn a_hook_that_panics_ends_training_for_all() {
    for reference in [false, true] {
        let hooks = Hooks::new().every(3, |_, _| panic_with("oh no"));
        check_told(&build(reference), hooks, 3);
    }
}

#[test]
fn a_hook_that_panics_is_not_followed_by_a_checkpoint() {
    // P-11: nobody knows how far the step came
    let folder = tempfile::tempdir().expect("a folder");
    let hooks =
        Hooks::new().every(3, |_, _| panic_with("oh no")).checkpoints(folder.path(), 1000, 5);
    check_told(&build(false), hooks, 3);
    let newest = sync_replicas::checkpoint::latest(folder.path()).expect("it can be listed");
    assert!(newest.is_none_or(|newest| newest.ends_with("checkpoint-000000000")));
}

/// Panics at its third update.
#[derive(Clone, Debug)]
struct Fragile(Sgd);

impl Optimizer<f64> for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn learning_rate(&self) -> &Schedule {
        Optimizer::<f64>::learning_rate(&self.0)
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    fn update(&self, _: &Step<'_>, tile: Tile<'_, f64>) {
        if tile.variable[0] <= -2.0 {
            panic_with("oh no");
        }
        tile.variable[0] -= tile.gradient[0];
    }
}

#[test]
fn an_optimizer_that_panics_ends_a_loop_of_ones_own() {
    let builder =
        SyncReplicas::new(Fragile(Sgd::new(1.0))).replicas_to_aggregate(1).total_num_replicas(2);
    let trainer = builder.build(variables()).expect("it is valid");
    // Both join before the first can end training.
    let replicas = [0, 1].map(|id| trainer.replica(ReplicaId::new(id)).expect("it is free"));
    std::thread::scope(|scope| {
        for mut replica in replicas {
            scope.spawn(move || {
                loop {
                    match replica.next_step() {
                        Ok(Some(step)) => {
                            drop(step.push(Gradients::new().dense("w", array![1.0])));
                        }
                        Err(WaitError::Failed { reason }) => {
                            return assert!(reason.contains("oh no"), "{reason}");
                        }
                        other => panic!("{:?}", other.map(|_| ())),
                    }
                }
            });
        }
    });
    assert_eq!(trainer.snapshot().global_step.get(), 2);
}

/// Panics instead of giving its third batch.
struct Torn(ReplicaId, u64);

impl BatchSource for Torn {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        self.1 += 1;
        if self.0.get() == 1 && self.1 == 3 {
            panic_with("oh no");
        }
        Some(number)
    }
}

#[test]
fn a_shard_that_panics_ends_its_replica_alone() {
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        let builder = SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2).order(order);
        let trainer = builder.build(variables()).expect("it is valid");
        let hooks = Hooks::new().stop_at_step(20);
        let report = trainer.fit(&Ones, |id| Torn(id, 0), hooks).expect("one is left");
        assert_eq!(report.updates, 20);
        let outcome = &report.replicas[1].outcome;
        assert_eq!(*outcome, ReplicaOutcome::Panicked("oh no".to_owned()));
        // And where the source itself cannot be made.
        let make = |id: ReplicaId| if id.get() == 0 { panic_with("oh no") } else { Torn(id, 9) };
        let report = trainer.fit(&Ones, make, Hooks::new().stop_at_step(40)).expect("one is left");
        assert_eq!(report.updates, 20);
    }
}
