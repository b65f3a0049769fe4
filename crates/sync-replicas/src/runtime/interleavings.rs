//! The runtime under loom: every interleaving of a few replicas and a chief, by `cargo xtask loom`.
//!
//! The engine decides and has no lock; this is about what carries its decisions out: the grants,
//! the wakers, the snapshot, the watch, the ends. No time passes here, so a wait that no thread
//! wakes is a deadlock, which loom reports with the way to it.

mod ending;
mod stepping;
mod waiting;

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use loom::thread::{JoinHandle, spawn};
use ndarray::array;
use optim::Sgd;

use crate::error::WaitError;
use crate::hook_host::TrainingView;
use crate::runtime::shared::timekeeper::Timekeeper;
use crate::runtime::{Replica, Shared, UpdateThread};
use crate::sync::{Arc, Ordering};
use crate::{Gradients, Outcome, SyncReplicas, Variables};
use engine::{InitialTokens, ReplicaId, StepTimeout, StopReason};

const FOR_GOOD: Duration = Duration::MAX;

/// A trainer's inside, without the handle that starts a clock.
type Inside = Arc<Shared<f32>>;

/// Runs a model in every interleaving within the bound on preemptions, and prints how many.
fn check(model: impl Fn() + Send + Sync + 'static) {
    // Not one of loom's: it goes on counting from one interleaving to the next.
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let current = std::thread::current();
    println!("interleavings {} {}", current.name().unwrap_or("?"), count.load(Ordering::Relaxed));
}

/// A of N, started; two variables, both 4, of which a step with gradients of 1 takes 1.
fn start(aggregate: usize, total: usize) -> Inside {
    assemble(aggregate, total, |settings| settings, UpdateThread::LastPusher)
}

fn assemble(
    aggregate: usize,
    total: usize,
    choose: impl FnOnce(SyncReplicas<Sgd>) -> SyncReplicas<Sgd>,
    update_thread: UpdateThread,
) -> Inside {
    let trained = ["v".to_owned(), "w".to_owned()];
    let variables = (trained.iter()).fold(Variables::new(), |variables, name| {
        variables.with(name, array![4.0]).expect("names are distinct")
    });
    let builder =
        SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(aggregate).total_num_replicas(total);
    let trainer = choose(builder).assemble(variables, &trained, update_thread).expect("it fits");
    trainer.shared.start_chief(InitialTokens::Fewest).expect("the tokens suffice");
    Arc::clone(&trainer.shared)
}

fn join(shared: &Inside, replica: u64) -> Replica<f32> {
    Replica::join(shared, ReplicaId::new(replica)).expect("it is free")
}

/// One turn: waits for a token, computes, pushes; `None` once training has ended.
fn turn(replica: &mut Replica<f32>) -> Result<Option<Outcome>, WaitError> {
    let Some(step) = replica.next_step()? else { return Ok(None) };
    let gradients = Gradients::new().dense("v", array![1.0]).dense("w", array![1.0]);
    Ok(Some(step.push(gradients).expect("it fits")))
}

/// A turn whose gradients become part of a step.
fn contribute(replica: &mut Replica<f32>) {
    let outcome = turn(replica).expect("nobody is overdue").expect("it goes on");
    assert!(outcome.is_accepted(), "{outcome:?}");
}

fn step(shared: &Inside) -> i64 {
    shared.snapshot().global_step.get()
}
