//! Rows of tables: looked up in memory, and what a cluster that trains them sends and holds.

use std::hint::black_box;
use std::time::Duration;

use embedding_table::{Rows, Table, TableStore, place};

use super::cluster::Processes;
use super::process::Process;
use super::trained::{BATCH, Trained, WIDTH};
use crate::{Work, together};

/// Rows of the table that is looked up in memory, and of the array beside it.
const ROWS: usize = 1_000_000;

/// Bytes of a row's values, and of a key.
const ROW: usize = WIDTH * size_of::<f32>();
const KEY: usize = size_of::<i64>();

/// Steps before those whose bytes are counted: each row of a million is updated in 125.
const WARM: u64 = 130;

/// Batches of random rows gathered from one array, or looked up in one table, by each thread.
pub(crate) struct Gather<S> {
    from: S,
    threads: Vec<Thread>,
}

struct Thread {
    keys: Vec<i64>,
    rows: Vec<f32>,
}

/// Where rows come from.
pub(crate) trait Source: Sync {
    fn gather(&self, keys: &[i64], rows: &mut [f32]);
}

impl<S: Source> Gather<S> {
    pub(crate) fn new(from: S, threads: u64) -> Self {
        let thread = |thread: u64| {
            let key =
                |n: usize| (place((thread << 32 | n as u64).cast_signed()) % ROWS as u64) as i64;
            // Many more than a cache holds.
            let keys = (0..32 * BATCH).map(key).collect();
            Thread { keys, rows: vec![0.0; BATCH * WIDTH] }
        };
        Self { from, threads: (0..threads).map(thread).collect() }
    }

    /// Rows that doing it once gathers.
    pub(crate) const fn rows(threads: usize) -> f64 {
        (32 * BATCH * threads) as f64
    }
}

impl<S: Source> Work for Gather<S> {
    fn run(&mut self, times: u64) -> Duration {
        let from = &self.from;
        together(&mut self.threads, |thread| {
            for _ in 0..times {
                for keys in thread.keys.chunks_exact(BATCH) {
                    from.gather(keys, &mut thread.rows);
                    black_box(&thread.rows);
                }
            }
        })
    }
}

/// Rows that lie one behind the other.
pub(crate) struct Flat(Vec<f32>);

impl Flat {
    pub(crate) fn new() -> Self {
        Self(vec![1.0; ROWS * WIDTH])
    }
}

impl Source for Flat {
    fn gather(&self, keys: &[i64], rows: &mut [f32]) {
        for (key, row) in keys.iter().zip(rows.chunks_exact_mut(WIDTH)) {
            row.copy_from_slice(&self.0[*key as usize * WIDTH..][..WIDTH]);
        }
    }
}

/// A table that has all these rows.
pub(crate) fn updated() -> TableStore<f32> {
    let mut store = TableStore::new(Table::new("w", WIDTH), &[]).expect("it makes sense");
    let keys: Vec<i64> = (0..ROWS as i64).collect();
    for keys in keys.chunks(BATCH) {
        let (counts, gradients) = (vec![1; keys.len()], vec![1.0; keys.len() * WIDTH]);
        let rows = Rows { keys, counts: &counts, gradients: &gradients };
        store.apply(1, &rows, |row, gradient| row.copy_from_slice(gradient)).expect("it fits");
    }
    store.finish_step(1);
    store
}

impl Source for TableStore<f32> {
    fn gather(&self, keys: &[i64], rows: &mut [f32]) {
        self.lookup_into(keys, rows);
    }
}

/// A cluster of one replica that sweeps through a table of which every row has been updated.
pub(crate) fn sweep(rows: usize) -> Processes {
    Processes::new(1, Trained::Table(rows)).warm(rows.div_ceil(BATCH) as u64)
}

/// The most memory of a replica of the large table over that of a replica of the small one.
pub(crate) fn memory_of_replica(large: usize, small: usize) -> Result<f64, String> {
    let peak = |rows| {
        sweep(rows)
            .workers
            .first()
            .map_or_else(|| Err("there is a replica".to_owned()), Process::peak_memory)
    };
    Ok(peak(large)? / peak(small)?)
}

/// The server's most memory over the values of its rows; SGD has no slots.
pub(crate) fn memory_of_server(rows: usize) -> Result<f64, String> {
    Ok(sweep(rows).server.peak_memory()? / (rows * ROW) as f64)
}

/// Bytes that a step sends both ways, over those of its keys and rows: there and back each once.
pub(crate) fn bytes_of_step(trained: Trained) -> Result<f64, String> {
    const STEPS: u64 = 10;
    let [to, from] = bytes_of_steps(trained, STEPS);
    let formula = STEPS as usize * BATCH * 2 * (KEY + ROW);
    Ok((to + from) as f64 / formula as f64)
}

/// Bytes of rows that a replica gets where only rows are sent that have changed since it had them,
/// over those of all rows of its batches.
pub(crate) fn bytes_of_changed_rows(keys: usize) -> Result<f64, String> {
    const STEPS: u64 = 50;
    let trained = Trained::Zipf(keys);
    let [_, from] = bytes_of_steps(trained, STEPS);
    let batches = trained.batches().skip(WARM as usize).take(STEPS as usize);
    let all: usize = batches.map(|batch| batch.len() * ROW).sum();
    Ok(from as f64 / all as f64)
}

/// Bytes to the server and from it, of so many steps of one replica; of a table once most rows are
/// there, as others are not sent.
fn bytes_of_steps(trained: Trained, steps: u64) -> [u64; 2] {
    let warm = if matches!(trained, Trained::Array(_)) { 1 } else { WARM };
    let mut processes = Processes::counted(1, trained).warm(warm);
    let passed = |it: &Processes| it.relay.as_ref().map_or([0; 2], super::relay::Relay::passed);
    let before = passed(&processes);
    processes.run(steps);
    let after = passed(&processes);
    [after[0] - before[0], after[1] - before[1]]
}
