//! TensorFlow's own parts, called one by one.
//!
//! Three replicas, two of which make a step; the first is the chief. Each has a session with the
//! sync-replicas hook, and the chief's end ends them all. Run it with
//! `cargo run -p sync-replicas --example tensorflow`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::thread;

use hooks::{MonitoredSession, RunError, SessionError, StopAtStep};
use ndarray::array;
use optim::Adam;
use sync_replicas::store::GradientKind;
use sync_replicas::tensorflow::{SyncReplicasOptimizer, TrainOp};
use sync_replicas::{GlobalStep, Gradients, ReplicaId, Variables};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variables = Variables::new().with("x", array![4.0])?.with("frozen", array![1.0])?;
    let mut optimizer = SyncReplicasOptimizer::new(Adam::new(0.2), 2, Some(3))?
        .variable_averages(0.9)
        .variables_to_average(&["x"]);
    let pairs = [("x", GradientKind::Dense), ("frozen", GradientKind::Missing)];
    let train_op = optimizer.apply_gradients(&pairs, variables, Some(GlobalStep::new(0)))?;
    println!("initial tokens: {}", optimizer.init_tokens(None)?);
    println!("the optimizer's variables: {}", optimizer.variables().join(", "));
    train_op.initialize();

    thread::scope(|scope| {
        let replicas: Vec<_> = (0..3)
            .map(|id| {
                let (optimizer, train_op) = (&optimizer, &train_op);
                scope.spawn(move || train(optimizer, train_op, ReplicaId::new(id)))
            })
            .collect();
        for (id, replica) in replicas.into_iter().enumerate() {
            match replica.join() {
                Ok(Ok(())) => println!("replica {id} ended cleanly"),
                Ok(Err(error)) => println!("replica {id}: {error}"),
                Err(_) => println!("replica {id} panicked"),
            }
        }
    });

    let end = train_op.trainer().snapshot();
    println!("x = {:.4} after {} updates", end.variables.vector("x")?, end.global_step);
    if let Some(averages) = train_op.trainer().averages() {
        println!("its moving average: {:.4}", averages.vector("x")?);
    }
    println!("Adam's m: {:.4}", optimizer.slot("x", "m").unwrap_or_default());
    Ok(())
}

/// One replica's session, from start to end.
fn train(
    optimizer: &SyncReplicasOptimizer<f64, Adam>,
    train_op: &TrainOp<f64>,
    id: ReplicaId,
) -> Result<(), SessionError> {
    let is_chief = id.get() == 0;
    let session = train_op.session(id, |variables, _| {
        let x = variables.vector("x")?.to_owned();
        Ok(Gradients::new().dense("x", x * 2.0))
    });
    let mut sessions = Some(session).into_iter();
    let builder = MonitoredSession::builder(move |_| sessions.next().ok_or(RunError::Stopped))
        .hook(optimizer.make_session_run_hook(is_chief, None));
    let builder = if is_chief { builder.hook(StopAtStep::last_step(60)) } else { builder };
    builder.start()?.run_until_stopped().map(drop)
}
