//! A table of rows by key on a cluster, for `sync-replicas launch --workers 3 -- table_model`: each
//! item of a shop has a row of its own, and items that nobody buys any more give theirs up. Without
//! a cluster it trains in threads.
//!
//! Its options are `--updates N`, and `--lease MS` after which a silent worker is not waited for.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its result")]

use std::error::Error;
use std::time::Duration;

use cluster::{Cluster, OnCluster};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use optim::Adagrad;
use sync_replicas::options::SummationOrder;
use sync_replicas::{
    BatchSource, BoxError, Computed, Gradients, Hooks, IndexedSlices, Keys, Model, SyncReplicas,
    Table, Variables, Work, checkpoint,
};

const ITEMS: &str = "items";
const WIDTH: usize = 8;

/// What an item is worth is the product of its row with weights that all items share.
struct Shop;

/// The number of a batch is all that it takes to make it.
struct Numbers;

impl BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

/// The items of a batch: twelve new ones, of which the next batches have some too, and four old
/// ones, which come back after their rows were given up.
fn items(batch: u64) -> Vec<i64> {
    let new = (0..12).map(|n| (batch * 2 + n) as i64);
    let old = (0..4).map(|n| -1 - ((batch * 4 + n) % 100) as i64);
    new.chain(old).collect()
}

/// Between 0 and 2.
fn worth(item: i64) -> f32 {
    let mixed = (item as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as f32 / (1 << 23) as f32
}

fn errors(items: &[i64], rows: ArrayView2<f32>, weights: ArrayView1<f32>) -> Array1<f32> {
    let worths: Array1<f32> = items.iter().map(|item| worth(*item)).collect();
    rows.dot(&weights) - worths
}

fn loss(errors: &Array1<f32>) -> f64 {
    f64::from(errors.dot(errors)) / errors.len() as f64
}

impl Model<f32> for Shop {
    type Batch = u64;

    fn keys(&self, batch: &u64) -> Keys {
        Keys::new().of(ITEMS, items(*batch))
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let items = items(*batch);
        let (rows, weights) = (work.rows(ITEMS)?, variables.vector("weights")?);
        let errors = errors(&items, rows, weights);
        let (loss, examples) = (loss(&errors), items.len());
        let slopes = errors * (2.0 / examples as f32);
        let of_rows = slopes.view().insert_axis(Axis(1)).dot(&weights.insert_axis(Axis(0)));
        let gradients = Gradients::new()
            .dense("weights", rows.t().dot(&slopes))
            .sparse(ITEMS, IndexedSlices::by_key(items, of_rows)?);
        Ok(Some(Computed { loss, examples: examples as u64, gradients }))
    }
}

/// Those whose rows are looked up at the end: of a batch of the last step.
fn last_items(step: i64) -> Vec<i64> {
    items(step as u64 * 3)
}

/// The result: two runs with the same bits print the same line.
fn tell(
    step: i64,
    variables: &Variables<f32>,
    (count, rows): (usize, Vec<f32>),
) -> Result<(), Box<dyn Error>> {
    let items = last_items(step);
    let rows = Array2::from_shape_vec((items.len(), WIDTH), rows)?;
    let loss = loss(&errors(&items, rows.view(), variables.vector("weights")?));
    println!("step {step}: {count} rows, loss {loss}, weights {}", variables.sha256());
    Ok(())
}

fn option(name: &str, usual: u64) -> Result<u64, Box<dyn Error>> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).map_or(Ok(usual), |text| Ok(text.parse()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (updates, lease) = (option("--updates", 100)?, option("--lease", 5_000)?);
    let hooks = Hooks::new().stop_at_step(updates as i64);
    let variables = Variables::new()
        .with("weights", Array1::from_elem(WIDTH, 0.5))?
        // A row that none of four steps in a row has updated is given up.
        .with_table(Table::new(ITEMS, WIDTH).normal(0.0, 0.1).evict_unused(4))?;
    let described = SyncReplicas::new(Adagrad::new(0.3))
        .order(SummationOrder::Replica)
        .lease(Duration::from_millis(lease));
    let Some(cluster) = Cluster::from_env(1)? else {
        let trainer = described.replicas_to_aggregate(3).build(variables)?;
        trainer.fit(&Shop, |_| Numbers, hooks)?;
        let snapshot = trainer.snapshot();
        let step = snapshot.global_step.get();
        let count = trainer.table_reader().num_rows(ITEMS).unwrap_or(0);
        let rows = trainer.lookup(ITEMS, &last_items(step))?.into_raw_vec_and_offset().0;
        return tell(step, &snapshot.variables, (count, rows));
    };
    let trainer = described
        .replicas_to_aggregate(cluster.replicas_to_aggregate())
        .total_num_replicas(cluster.total_num_replicas())
        .on(&cluster)
        .build(variables)?;
    if let Err(error) = trainer.fit(&Shop, |_| Numbers, hooks) {
        eprintln!("error: {error}");
        // A launcher starts it again where that can help.
        std::process::exit(error.exit() as i32);
    }
    // No worker ever has all rows; the last checkpoint does.
    if cluster.place().is_chief()
        && let Some(folder) = Cluster::run_dir()
    {
        let saved = checkpoint::open::<f32>(&folder.join("checkpoint"))?;
        let step = saved.global_step.get();
        let count = saved.tables.tables()[0].rows() as usize;
        let rows = saved.tables.lookup(ITEMS, &last_items(step))?;
        tell(step, &saved.variables, (count, rows))?;
    }
    Ok(())
}
