//! The rows of embedding tables (P-17): in memory, and in clusters of one server and one replica.
//!
//! A batch has 8,000 keys, a row 64 numbers.

use crate::rows::{bound, boxed, timed};
use crate::work::cluster::Processes;
use crate::work::tables::{
    Flat, Gather, bytes_of_changed_rows, bytes_of_step, memory_of_replica, memory_of_server, sweep,
    updated,
};
use crate::work::tcp::Tcp;
use crate::work::trained::{BATCH, Trained, WIDTH};
use crate::{Measure, Row, Target, Unit};

use Target::{AtMost, RatioAtLeast, RatioAtMost};
use Unit::{Count, MillionsPerSecond, Milliseconds, PerSecond};

/// Sizes of tables.
const SMALL: usize = 16_000;
const MEDIUM: usize = 128_000;
const LARGE: usize = 1_000_000;

const fn counted(
    name: &'static str,
    count: fn() -> Result<f64, String>,
    targets: &'static [Target],
) -> Row {
    Row { name, unit: Count, measure: Measure::Counted(count), bound: None, targets }
}

/// Rows in memory, and what steps of a cluster take, send and hold.
pub const TABLES: &[Row] = &[
    timed(
        "tables/lookup/1e6_rows/2_threads",
        (MillionsPerSecond, Gather::<Flat>::rows(2)),
        || boxed(Gather::new(updated(), 2)),
        bound("gather/1e6_rows/2_threads", Gather::<Flat>::rows(2), || {
            boxed(Gather::new(Flat::new(), 2))
        }),
        &[RatioAtLeast(0.5)],
    ),
    timed(
        "tables/step/16000_rows",
        (PerSecond, 1.0),
        || boxed(sweep(SMALL)),
        bound("array/16000_rows", 1.0, || boxed(Processes::new(1, Trained::Array(SMALL)))),
        &[RatioAtLeast(1.0)],
    ),
    timed(
        "tables/step/128000_rows",
        (PerSecond, 1.0),
        || boxed(sweep(MEDIUM)),
        bound("array/128000_rows", 1.0, || boxed(Processes::new(1, Trained::Array(MEDIUM)))),
        &[RatioAtLeast(1.0)],
    ),
    timed(
        "tables/step/1e6_rows",
        (PerSecond, 1.0),
        || boxed(sweep(LARGE)),
        bound("array/1e6_rows", 1.0, || boxed(Processes::new(1, Trained::Array(LARGE)))),
        &[RatioAtLeast(1.0)],
    ),
    timed(
        "tables/step/1e6_rows/against_16000",
        (Milliseconds, 1.0),
        || boxed(sweep(LARGE)),
        bound("tables/step/16000_rows", 1.0, || boxed(sweep(SMALL))),
        &[RatioAtMost(1.5)],
    ),
    timed(
        "tables/lookup/128000_rows/loopback",
        (PerSecond, 1.0),
        || boxed(Processes::reader(Trained::Table(MEDIUM))),
        bound("tcp/64KB_and_2MB/1_client", 1.0, || {
            boxed(Tcp::asking(1, BATCH * size_of::<i64>(), BATCH * WIDTH * size_of::<f32>()))
        }),
        &[RatioAtLeast(0.5)],
    ),
    counted("tables/bytes/16000_rows", || bytes_of_step(Trained::Table(SMALL)), &[AtMost(1.1)]),
    counted("tables/bytes/128000_rows", || bytes_of_step(Trained::Table(MEDIUM)), &[AtMost(1.1)]),
    counted("tables/bytes/1e6_rows", || bytes_of_step(Trained::Table(LARGE)), &[AtMost(1.1)]),
    counted("tables/bytes_of_array/16000_rows", || bytes_of_step(Trained::Array(SMALL)), &[]),
    counted("tables/bytes_of_array/128000_rows", || bytes_of_step(Trained::Array(MEDIUM)), &[]),
    counted("tables/bytes_of_array/1e6_rows", || bytes_of_step(Trained::Array(LARGE)), &[]),
    counted("tables/replica_memory/1e6_rows", || memory_of_replica(LARGE, SMALL), &[AtMost(1.1)]),
    counted("tables/ps_memory/1e6_rows", || memory_of_server(LARGE), &[AtMost(1.35)]),
    counted("tables/bytes_of_changed_rows/zipf", || bytes_of_changed_rows(LARGE), &[AtMost(0.6)]),
];
