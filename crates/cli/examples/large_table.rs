//! A table that is larger than its worker, for `sync-replicas launch --ps 4 --workers 1 --
//! large_table`: each batch updates the next 100,000 rows of 64 numbers, until each of `--rows N`
//! was updated. The check at the end needs exactly one worker. A later run with `--resume` and a
//! larger `--updates N` goes on behind them, with any number of servers.
//!
//! A row starts at zero and goes down by a step of 1 with each update, so what it must be is known:
//! at the end the chief looks some up in the last checkpoint.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its result")]

use std::error::Error;
use std::process::exit;

use cluster::{Cluster, OnCluster};
use ndarray::Array2;
use optim::Sgd;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, IndexedSlices, Keys, Model, SyncReplicas,
    Table, Variables, Work, checkpoint,
};

const WIDTH: usize = 64;
const BATCH: u64 = 100_000;

/// All rows in turns, and then again.
struct Sweep {
    rows: u64,
}

struct Numbers;

impl BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

impl Sweep {
    fn keys_of(&self, batch: u64) -> Vec<i64> {
        (batch * BATCH..(batch + 1) * BATCH).map(|key| (key % self.rows) as i64).collect()
    }
}

impl Model<f32> for Sweep {
    type Batch = u64;

    fn keys(&self, batch: &u64) -> Keys {
        Keys::new().of("rows", self.keys_of(*batch))
    }

    fn gradients(
        &self,
        _: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let loss = f64::from(work.rows("rows")?.sum());
        let ones = Array2::ones((BATCH as usize, WIDTH));
        let of_rows = IndexedSlices::by_key(self.keys_of(*batch), ones)?;
        let gradients = Gradients::new().sparse("rows", of_rows);
        Ok(Some(Computed { loss, examples: BATCH, gradients }))
    }
}

fn option(name: &str, usual: u64) -> Result<u64, Box<dyn Error>> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).map_or(Ok(usual), |text| Ok(text.parse()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = option("--rows", 10_000_000)?.next_multiple_of(BATCH);
    let updates = option("--updates", rows / BATCH)?;
    let variables = Variables::new().with_table(Table::new("rows", WIDTH).constant(0.0))?;
    let Some(cluster) = Cluster::from_env(1)? else {
        println!("`sync-replicas launch --ps 4 --workers 1 -- large_table` trains it");
        return Ok(());
    };
    let trainer = SyncReplicas::new(Sgd::new(1.0))
        .replicas_to_aggregate(cluster.replicas_to_aggregate())
        .total_num_replicas(cluster.total_num_replicas())
        .on(&cluster)
        .build(variables)?;
    let hooks = Hooks::new().stop_at_step(updates as i64);
    let report = trainer.fit(&Sweep { rows }, |_| Numbers, hooks).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        exit(error.exit() as i32)
    });
    let Some(folder) = Cluster::run_dir().filter(|_| cluster.place().is_chief()) else {
        return Ok(());
    };
    let step = report.global_step.get() as u64;
    let saved = checkpoint::open::<f32>(&folder.join("checkpoint"))?;
    // One key of each batch: how often it was updated, and its row.
    let keys: Vec<i64> = (0..rows / BATCH).map(|batch| (batch * BATCH + batch) as i64).collect();
    let found: Vec<f32> = saved.tables.lookup("rows", &keys)?;
    for (batch, row) in found.chunks(WIDTH).enumerate() {
        let all = rows / BATCH;
        let expected = -((step / all + u64::from((batch as u64) < step % all)) as f32);
        if row.iter().any(|x| *x != expected) {
            return Err(format!("expected {expected} in row {}, got {row:?}", keys[batch]).into());
        }
    }
    println!("step {step}: each of {} rows that were looked up is as it must be", keys.len());
    Ok(())
}
