//! A program of its own, for `sync-replicas launch -- own_model`: it fits a line in several
//! dimensions, which the parameter servers know nothing of. Without a cluster it trains in threads.
//!
//! Its options are `--updates N` and `--pause MS`, for each batch.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its result")]

use std::error::Error;
use std::time::Duration;

use cluster::{Cluster, OnCluster};
use ndarray::{Array1, Array2};
use optim::{Momentum, Schedule};
use sync_replicas::options::SummationOrder;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work,
};

/// Inputs and outputs of the line, and examples in a batch.
const INPUTS: usize = 600;
const OUTPUTS: usize = 40;
const EXAMPLES: usize = 16;

struct Line {
    pause: Duration,
}

/// The number of a batch is all that it takes to make it.
struct Numbers;

impl BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

/// A number between -1 and 1 that looks random.
fn noise(seed: u64) -> f64 {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn targets(x: &Array2<f64>) -> Array2<f64> {
    let slopes = Array2::from_shape_fn((INPUTS, OUTPUTS), |(i, j)| noise((i * OUTPUTS + j) as u64));
    x.dot(&slopes) + 0.5
}

impl Model<f64> for Line {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f64>,
        number: &u64,
        work: &Work<'_, f64>,
    ) -> Result<Option<Computed<f64>>, BoxError> {
        if work.pause(self.pause) {
            return Ok(None);
        }
        let seed = |i: usize, j: usize| number * 1_000_003 + (i * INPUTS + j) as u64;
        let x = Array2::from_shape_fn((EXAMPLES, INPUTS), |(i, j)| noise(seed(i, j)));
        let (slopes, offset) = (variables.matrix("slopes")?, variables.vector("offset")?);
        let error = x.dot(&slopes) + offset - targets(&x);
        let scale = 1.0 / EXAMPLES as f64;
        let gradients = Gradients::new()
            .dense("slopes", x.t().dot(&error) * scale)
            .dense("offset", error.sum_axis(ndarray::Axis(0)) * scale);
        let loss = error.mapv(|it| it * it).sum() * scale / 2.0;
        Ok(Some(Computed { loss, examples: EXAMPLES as u64, gradients }))
    }
}

fn option(name: &str, usual: u64) -> Result<u64, Box<dyn Error>> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).map_or(Ok(usual), |text| Ok(text.parse()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (updates, pause) = (option("--updates", 100)?, option("--pause", 0)?);
    let model = Line { pause: Duration::from_millis(pause) };
    let hooks = Hooks::new().stop_at_step(updates as i64);
    let variables = Variables::new()
        .with("slopes", Array2::from_shape_fn((INPUTS, OUTPUTS), |(i, j)| noise((i + j) as u64)))?
        .with("offset", Array1::zeros(OUTPUTS))?;
    let rate = Schedule::Exponential { initial: 0.002, decay: 0.5, every: 500, staircase: false };
    let trained = SyncReplicas::new(Momentum::new(rate, 0.9))
        .order(SummationOrder::Replica)
        .moving_average(0.99);
    let Some(cluster) = Cluster::from_env(1)? else {
        let trainer = trained.replicas_to_aggregate(3).build(variables)?;
        trainer.fit(&model, |_| Numbers, hooks)?;
        let snapshot = trainer.snapshot();
        println!("step {}: {}", snapshot.global_step, snapshot.variables.sha256());
        return Ok(());
    };
    let trained = trained
        .replicas_to_aggregate(cluster.replicas_to_aggregate())
        .total_num_replicas(cluster.total_num_replicas())
        .on(&cluster)
        .build(variables)?;
    let report = match trained.fit(&model, |_| Numbers, hooks) {
        Ok(report) => report,
        // A launcher starts it again where that can help.
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(error.exit() as i32);
        }
    };
    if cluster.place().is_chief()
        && let Some(variables) = report.variables
    {
        println!("step {}: {}", report.global_step, variables.sha256());
    }
    Ok(())
}
