//! Steps that have their replica (P-2, P-5, P-11), for loops that cannot lend it.

use ndarray::{Array1, array};
use optim::Sgd;
use sync_replicas::engine::Refused;
use sync_replicas::error::PushError;
use sync_replicas::{
    Gradients, Outcome, OwnedStep, Replica, ReplicaId, SyncReplicas, Trainer, Variables,
};

fn trainer(replicas: usize) -> Trainer<f32> {
    let variables = Variables::new().with("w", array![4.0]).expect("one name");
    let described = SyncReplicas::new(Sgd::new(0.5)).replicas_to_aggregate(1);
    described.total_num_replicas(replicas).build(variables).expect("the numbers fit")
}

fn join(trainer: &Trainer<f32>, id: u64) -> Replica<f32> {
    trainer.replica(ReplicaId::new(id)).expect("it is free")
}

fn begin(mut replica: Replica<f32>) -> OwnedStep<f32> {
    assert!(replica.wait_for_token().expect("nobody is overdue"));
    replica.into_step().expect("it has a token")
}

fn of_length(length: usize) -> Gradients<f32> {
    Gradients::new().dense("w", Array1::ones(length))
}

#[test]
fn the_replica_comes_back_from_each_push_and_from_a_step_given_up() {
    let trainer = trainer(2);
    let (first, late) = (begin(join(&trainer, 0)), begin(join(&trainer, 1)));
    let (first, outcome) = first.push(of_length(1));
    assert!(matches!(outcome, Ok(Outcome::Accepted { .. })), "{outcome:?}");
    assert!(late.is_superseded());
    let (late, outcome) = late.push(of_length(1));
    assert!(matches!(outcome, Ok(Outcome::Stale { .. })), "{outcome:?}");
    let (first, refused) = begin(first).push(of_length(2));
    assert!(matches!(refused, Err(PushError::Gradient(_))), "{refused:?}");
    let first = begin(first).give_up();
    let (_first, outcome) = begin(first).push(of_length(1));
    assert!(matches!(outcome, Ok(Outcome::Accepted { .. })), "{outcome:?}");
    assert_eq!(trainer.snapshot().variables.vector("w").expect("it is there"), array![3.0]);
    assert_eq!(trainer.tally(late.id()).expect("it is one of two").stale, 1);
}

#[test]
fn a_dropped_step_gives_its_token_back_and_its_replica_leaves() {
    // P-5: of two tokens for one step the one that is given back goes to who waits.
    let trainer = trainer(1);
    drop(begin(join(&trainer, 0)));
    let again = begin(join(&trainer, 0));
    assert_eq!((again.local_step().get(), again.number()), (0, 1));
}

#[test]
fn a_replica_without_a_token_stays_what_it_is() {
    let trainer = trainer(1);
    let replica = join(&trainer, 0).into_step().expect_err("it has not waited");
    let open = begin(*replica);
    trainer.stop_handle().stop("enough");
    let (mut replica, refused) = open.push(of_length(1));
    assert!(matches!(refused, Err(PushError::Refused(Refused::Ended))), "{refused:?}");
    assert!(!replica.wait_for_token().expect("nobody is overdue"));
    assert!(replica.into_step().is_err());
}
