//! Replicas as tasks: sixty-four of them on two threads, none of which ever blocks one.
//!
//! The crate itself needs no runtime; any that polls futures will do. Run it with
//! `cargo run -p sync-replicas --example tasks`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use ndarray::Array1;
use optim::Adam;
use sync_replicas::error::PushError;
use sync_replicas::{Gradients, Replica, ReplicaId, SyncReplicas, Variables};

const REPLICAS: u64 = 64;
const STEPS: i64 = 100;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    // Four backups: 60 of 64 gradients make a step.
    let trainer = SyncReplicas::new(Adam::new(0.1))
        .replicas_to_aggregate(60)
        .total_num_replicas(64)
        .build(Variables::new().with("x", Array1::<f64>::ones(4))?)?;
    // All join before the first begins, since nobody can join once training has ended.
    let replicas = (0..REPLICAS).map(|id| trainer.replica(ReplicaId::new(id)));
    let replicas = replicas.collect::<Result<Vec<_>, _>>()?;
    let mut tasks = Vec::new();
    for replica in replicas {
        let stop = trainer.stop_handle();
        tasks.push(tokio::spawn(async move {
            let ended = run(replica).await;
            stop.stop("one of them saw the last step");
            ended
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (end, totals) = (trainer.snapshot(), trainer.totals());
    println!("{} updates by {REPLICAS} tasks: x = {:.4}", end.global_step, end.variables.get("x")?);
    println!("{} batches: {} accepted, {} stale", totals.batches, totals.accepted, totals.stale);
    Ok(())
}

/// One replica's loop; waiting for a token frees the thread for others.
async fn run(mut replica: Replica<f64>) -> Outcome {
    while let Some(step) = replica.next_step_async().await? {
        if step.global_step().get() >= STEPS {
            break;
        }
        let x = step.variables().vector("x")?.to_owned();
        match step.push(Gradients::new().dense("x", x * 2.0)) {
            // Training ended while it computed.
            Err(PushError::Refused(_)) => break,
            pushed => drop(pushed?),
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
