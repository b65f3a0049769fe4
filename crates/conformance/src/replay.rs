//! Replays: the recorded calls, made on the crates; one file a kind.
//!
//! Each file maps words, none has rules: of what came out, everything recorded is compared.

mod accumulator;
mod average;
mod dense;
mod driven;
mod driver;
mod formula;
mod network;
mod optimizer;
mod queue;
mod replicas;
mod script;
mod sparse;

use crate::trace::{Dtype, Trace};
use crate::{Failure, Place};

/// Replays one trace, given as the text of its file.
///
/// # Errors
/// The first [`Failure`]: a difference, or why the text is no trace.
pub fn replay(text: &str) -> Result<(), Failure> {
    match read(text)? {
        Trace::DenseAccumulator(trace) => match trace.dtype {
            Dtype::Float32 => dense::replay::<f32>(&trace),
            Dtype::Float64 => dense::replay::<f64>(&trace),
        },
        Trace::SparseAccumulator(trace) => match trace.dtype {
            Dtype::Float32 => sparse::replay::<f32>(&trace),
            Dtype::Float64 => sparse::replay::<f64>(&trace),
        },
        Trace::TokenQueue(trace) => queue::replay(&trace),
        Trace::Optimizer(trace) => match trace.dtype {
            Dtype::Float32 => optimizer::replay::<f32>(&trace),
            Dtype::Float64 => optimizer::replay::<f64>(&trace),
        },
        Trace::MovingAverage(trace) => average::replay(&trace),
        Trace::SyncReplicas(trace) => match trace.dtype {
            Dtype::Float32 => replicas::replay::<f32>(&trace),
            Dtype::Float64 => replicas::replay::<f64>(&trace),
        },
    }
}

/// Whether a trace was replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// To its end.
    Passed,
    /// Nothing over a network corresponds to it: it is about one part of the whole.
    NoCounterpart,
}

/// Replays one trace on clusters of one and of two parameter servers: real servers and replicas
/// that talk over TCP.
///
/// # Errors
/// The first [`Failure`].
pub fn replay_on_clusters(text: &str) -> Result<Replayed, Failure> {
    let trace = match read(text)? {
        Trace::SyncReplicas(trace) => trace,
        _ => return Ok(Replayed::NoCounterpart),
    };
    for servers in [1, 2] {
        let replayed = match trace.dtype {
            Dtype::Float32 => replicas::replay_on_cluster::<f32>(&trace, servers),
            Dtype::Float64 => replicas::replay_on_cluster::<f64>(&trace, servers),
        };
        replayed.map_err(|failure| Failure {
            difference: format!("with {servers} servers, {}", failure.difference),
            ..failure
        })?;
    }
    Ok(Replayed::Passed)
}

fn read(text: &str) -> Result<Trace, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(Place::File, format_args!("not a trace: {error}")))
}
