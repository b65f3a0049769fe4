//! The rows of the network: one parameter server and replicas as processes on loopback, and the
//! coordinator by itself.
//!
//! Apart from the others because they start processes of the program `report` itself, which a
//! criterion target is not.

use crate::rows::{LARGE, bound, boxed, bytes, timed};
use crate::work::cluster::{Processes, memory_of_server};
use crate::work::commit::Committed;
use crate::work::simulated::Simulated;
use crate::work::tcp::Tcp;
use crate::work::trained::Trained;
use crate::{Measure, Row, Target, Unit};

use Target::{AtLeast, AtMost, RatioAtLeast, RatioAtMost};
use Unit::{Count, Milliseconds, Nanoseconds, PerSecond};

/// Bytes of all parameters of the large model.
const LARGE_BYTES: usize = bytes(LARGE, 1) as usize;

/// Parameters of the medium model, and their bytes.
const MEDIUM: usize = 1_000_000;
const MEDIUM_BYTES: usize = bytes(MEDIUM, 1) as usize;

/// A cluster whose replicas push and pull a vector of so many parameters.
fn vector(replicas: usize, parameters: usize) -> Processes {
    Processes::new(replicas, Trained::Vector(parameters))
}

/// Steps a second of whole clusters, what a server needs, and a cluster in virtual time.
pub const CLUSTER: &[Row] = &[
    timed(
        "cluster/1e3/1_replica",
        (PerSecond, 1.0),
        || boxed(vector(1, 1_000)),
        None,
        &[AtLeast(4_000.0)],
    ),
    timed(
        "cluster/1e3/4_replicas",
        (PerSecond, 1.0),
        || boxed(vector(4, 1_000)),
        None,
        &[AtLeast(1_500.0)],
    ),
    timed(
        "cluster/1e3/4_replicas/recorded",
        (PerSecond, 1.0),
        || boxed(Processes::recorded(4, Trained::Vector(1_000))),
        bound("cluster/1e3/4_replicas", 1.0, || boxed(vector(4, 1_000))),
        &[RatioAtLeast(0.95)],
    ),
    timed(
        "cluster/1e6/1_replica",
        (PerSecond, 1.0),
        || boxed(vector(1, MEDIUM)),
        bound("tcp/4MB/1_client", 1.0, || boxed(Tcp::new(1, MEDIUM_BYTES))),
        &[AtLeast(260.0)],
    ),
    timed(
        "cluster/1e6/4_replicas",
        (PerSecond, 1.0),
        || boxed(vector(4, MEDIUM)),
        bound("tcp/4MB/4_clients", 1.0, || boxed(Tcp::new(4, MEDIUM_BYTES))),
        &[AtLeast(116.0)],
    ),
    timed(
        "cluster/2.5e7/1_replica",
        (PerSecond, 1.0),
        || boxed(vector(1, LARGE)),
        bound("tcp/100MB/1_client", 1.0, || boxed(Tcp::new(1, LARGE_BYTES))),
        &[RatioAtLeast(0.7), AtLeast(8.0)],
    ),
    timed(
        "cluster/2.5e7/4_replicas",
        (PerSecond, 1.0),
        || boxed(vector(4, LARGE)),
        bound("tcp/100MB/4_clients", 1.0, || boxed(Tcp::new(4, LARGE_BYTES))),
        &[RatioAtLeast(0.7), AtLeast(2.8)],
    ),
    timed(
        "commit/10000_registered",
        (Nanoseconds, 9_999.0),
        || boxed(Committed::new(10_000)),
        bound("commit/10_registered", 9.0, || boxed(Committed::new(10))),
        &[RatioAtMost(1.5)],
    ),
    timed(
        "simulated/96_of_100/2000_steps",
        (Milliseconds, 1.0),
        || boxed(Simulated::new(2_000)),
        None,
        &[AtMost(120_000.0)],
    ),
    Row {
        name: "cluster/ps_memory/2.5e7/4_replicas",
        unit: Count,
        measure: Measure::Counted(|| memory_of_server(4, LARGE)),
        bound: None,
        targets: &[AtMost(5.0)],
    },
];
