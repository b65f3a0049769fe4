//! A loop of one's own: three threads, two of which make a step; every push says what became of it.
//!
//! A step is a guard: dropping it, also by a panic, gives the token back, and training goes on. Run
//! it with `cargo run -p sync-replicas --example own_loop`.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it does")]

use std::thread;

use ndarray::array;
use optim::Sgd;
use sync_replicas::{Gradients, Outcome, Replica, ReplicaId, StopHandle, SyncReplicas, Variables};

const STEPS: i64 = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variables = Variables::new().with("x", array![8.0, -4.0])?;
    let trainer = SyncReplicas::new(Sgd::new(0.25))
        .replicas_to_aggregate(2)
        .total_num_replicas(3)
        .build(variables)?;
    // All join before the first begins: two could be done before the third came.
    let replicas =
        (0..3).map(|id| trainer.replica(ReplicaId::new(id))).collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for replica in replicas {
            let stop = trainer.stop_handle();
            scope.spawn(move || {
                let id = replica.id();
                if let Err(error) = descend(replica, &stop) {
                    eprintln!("{id} failed and left: {error}");
                }
            });
        }
    });

    let end = trainer.snapshot();
    println!("x = {} after {} updates", end.variables.vector("x")?, end.global_step);
    let totals = trainer.totals();
    println!("{} batches: {} accepted, {} stale", totals.batches, totals.accepted, totals.stale);
    Ok(())
}

/// One replica's loop: down the slope of x squared.
fn descend(mut replica: Replica<f64>, stop: &StopHandle) -> Result<(), Box<dyn std::error::Error>> {
    let id = replica.id();
    while let Some(step) = replica.next_step()? {
        let now = step.global_step();
        if now.get() >= STEPS {
            stop.stop("far enough");
            break;
        }
        if id.get() == 2 && now.get() == 3 {
            println!("{id} has no more data and leaves; its token goes to another");
            break;
        }
        let x = step.variables().vector("x")?.to_owned();
        match step.push(Gradients::new().dense("x", x * 2.0)) {
            Ok(Outcome::Accepted { count }) => println!("{id}: number {count} of step {now}"),
            Ok(Outcome::Stale { local_step, global_step }) => {
                println!("{id}: late for step {local_step}, it is {global_step} already");
            }
            Ok(other) => println!("{id}: {other:?}"),
            // The others ended it meanwhile.
            Err(sync_replicas::error::PushError::Refused(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
