//! A training that a trace is of, and what driving it event by event asks of it.

use optim::Optimizer;
use sync_replicas::{Gradients, Scalar, SyncReplicas, Variables};

use super::formula::optimizer;
use crate::trace::ReplicasTrace;

/// The two variables, by the names of their fields in a state.
pub(super) const DENSE: &str = "dense";
pub(super) const SPARSE: &str = "sparse";

/// A training that is driven one event at a time.
pub(super) trait Driven<T: Scalar> {
    /// One replica pushes; then every replica gets as far as it can.
    fn push(&mut self, replica: usize, gradients: Gradients<T>) -> Result<(), String>;

    /// Whether a replica waits for a token.
    fn waits(&self, replica: usize) -> bool;

    /// How all stands.
    fn look(&mut self) -> Result<Seen<T>, String>;
}

/// How all stands: what is compared with a recorded state.
pub(super) struct Seen<T: Scalar> {
    pub(super) global_step: i64,
    /// Gradients held for the dense and for the sparse variable.
    pub(super) accumulated: [u64; 2],
    pub(super) tokens: usize,
    pub(super) local_steps: Vec<i64>,
    pub(super) variables: Variables<T>,
    pub(super) averages: Option<Variables<T>>,
}

/// The training that a trace is of.
pub(super) fn describe<T: Scalar>(
    trace: &ReplicasTrace,
) -> Result<SyncReplicas<Box<dyn Optimizer<T>>>, String> {
    let formula = trace.formula().map_err(|error| error.to_string())?;
    let mut builder = SyncReplicas::new(optimizer::<T>(&formula))
        .reference()
        .replicas_to_aggregate(trace.replicas_to_aggregate)
        .total_num_replicas(trace.total_num_replicas);
    match usize::try_from(trace.num_tokens) {
        Ok(count) => builder = builder.initial_tokens(count),
        Err(_) if trace.num_tokens == -1 => {}
        Err(_) => return Err(format!("num_tokens is {}, expected -1 or more", trace.num_tokens)),
    }
    if let Some(decay) = trace.ema_decay {
        builder = builder.moving_average(decay);
    }
    Ok(builder)
}

/// Its initial values.
pub(super) fn variables<T: Scalar>(trace: &ReplicasTrace) -> Result<Variables<T>, String> {
    Variables::new()
        .with(DENSE, trace.initial_dense.to::<T>())
        .and_then(|variables| variables.with(SPARSE, trace.initial_sparse.to::<T>()))
        .map_err(|error| error.to_string())
}
