//! The front door: a straight line through noisy points, by four of five replicas.
//!
//! Replica 4 is slow on purpose. No step waits for it; the table at the end shows where its work
//! went. Run it with `cargo run -p sync-replicas --example front_door`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use ndarray::{Array1, array};
use optim::Momentum;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work,
};

/// Finds `slope` and `offset` of y = slope x + offset by least squares.
struct Line {
    straggler: u64,
}

impl Model<f64> for Line {
    type Batch = Vec<(f64, f64)>;

    fn gradients(
        &self,
        variables: &Variables<f64>,
        batch: &Vec<(f64, f64)>,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        let pause = if work.replica.get() == self.straggler { 20 } else { 1 };
        if work.pause(Duration::from_millis(pause)) {
            // The step was made without this batch: no use in finishing it.
            return Ok(None);
        }
        let (slope, offset) = (variables.vector("slope")?[0], variables.vector("offset")?[0]);
        let n = batch.len() as f64;
        let (mut loss, mut by_slope, mut by_offset) = (0.0, 0.0, 0.0);
        for &(x, y) in batch {
            let error = slope * x + offset - y;
            loss += error * error / n;
            by_slope += 2.0 * error * x / n;
            by_offset += 2.0 * error / n;
        }
        let gradients =
            Gradients::new().dense("slope", array![by_slope]).dense("offset", array![by_offset]);
        Ok(Some(Computed { loss, examples: batch.len() as u64, gradients }))
    }
}

/// Points near y = 3 x - 1; the number of the batch says which.
struct Points;

impl BatchSource for Points {
    type Batch = Vec<(f64, f64)>;

    fn batch(&mut self, number: u64) -> Option<Self::Batch> {
        let point = |index: u64| {
            let x = (index as f64 * 0.754_877_666).fract() * 2.0 - 1.0;
            let noise = (index as f64 * 0.569_840_291).fract() - 0.5;
            (x, 3.0 * x - 1.0 + 0.2 * noise)
        };
        Some((number * 16..(number + 1) * 16).map(point).collect())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variables =
        Variables::new().with("slope", Array1::zeros(1))?.with("offset", Array1::zeros(1))?;
    let trainer = SyncReplicas::new(Momentum::new(0.05, 0.8))
        .replicas_to_aggregate(4)
        .total_num_replicas(5)
        .build(variables)?;
    let hooks = Hooks::new().stop_at_step(200).nan_guard().every(40, |_, report| {
        println!("step {:>3}: loss {:.5}", report.global_step, report.loss.unwrap_or(f64::NAN));
        Ok(())
    });
    let report = trainer.fit(&Line { straggler: 4 }, |_| Points, hooks)?;

    println!("\nreplica  batches  accepted  stale  given up   waited");
    for replica in &report.replicas {
        let tally = replica.tally;
        println!(
            "{:>7}  {:>7}  {:>8}  {:>5}  {:>8}  {:>5} ms",
            replica.replica.get(),
            replica.batches,
            tally.accepted,
            tally.stale,
            tally.superseded,
            replica.waited.as_millis(),
        );
    }
    let found = trainer.snapshot();
    println!(
        "\n{} updates in {} ms: y = {:.3} x {:+.3}",
        report.updates,
        report.elapsed.as_millis(),
        found.variables.vector("slope")?[0],
        found.variables.vector("offset")?[0],
    );
    Ok(())
}
