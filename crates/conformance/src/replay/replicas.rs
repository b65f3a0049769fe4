//! Replays of the whole composition under the reference preset (R-18 to R-28, P-16).

use std::collections::{BTreeMap, BTreeSet};

use sync_replicas::{Gradients, IndexedSlices, Scalar, SyncReplicas, Trainer, Variables};

use super::driver::Driver;
use super::formula::optimizer;
use crate::Failure;
use crate::compare::{Check, Tolerance, equal};
use crate::trace::{ReplicasEvent, ReplicasPush, ReplicasState, ReplicasTrace, Tensor};

/// The two variables, by the names of their fields in a state.
const DENSE: &str = "dense";
const SPARSE: &str = "sparse";

pub(super) fn replay<T: Scalar>(trace: &ReplicasTrace) -> Result<(), Failure> {
    let trainer = build::<T>(trace).map_err(Failure::start)?;
    let driver = Driver::new(trainer, trace.total_num_replicas).map_err(Failure::start)?;
    let mut run = Run { driver, waiting: BTreeMap::new() };
    for (number, event) in trace.events.iter().enumerate() {
        let (name, check) = match event {
            ReplicasEvent::Start { state } => ("start", run.compare(state)),
            ReplicasEvent::Push(push) => ("push", run.push(push)),
        };
        check.map_err(|difference| Failure::at(number, name, difference))?;
    }
    Ok(())
}

fn build<T: Scalar>(trace: &ReplicasTrace) -> Result<Trainer<T>, String> {
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
    let variables = Variables::new()
        .with(DENSE, trace.initial_dense.to::<T>())
        .and_then(|variables| variables.with(SPARSE, trace.initial_sparse.to::<T>()))
        .map_err(|error| error.to_string())?;
    builder.build(variables).map_err(|error| error.to_string())
}

struct Run<T: Scalar> {
    driver: Driver<T>,
    /// The id of the last push of each replica that waits for a token.
    waiting: BTreeMap<usize, i64>,
}

impl<T: Scalar> Run<T> {
    /// One step of one replica.
    ///
    /// Whose wait ended is compared as a set. Which of the waiting replicas gets which token would
    /// be the scheduler's choice if there were fewer tokens than replicas. There never are: while
    /// somebody waits the queue is empty, then max(N, A) tokens of one step come at once, and at
    /// most N replicas wait.
    fn push(&mut self, push: &ReplicasPush) -> Check {
        let rows = IndexedSlices::new(push.indices.clone(), push.values.to::<T>(), None)
            .map_err(|error| error.to_string())?;
        let gradients = Gradients::new().dense(DENSE, push.dense.to::<T>()).sparse(SPARSE, rows);
        self.driver.push(push.replica, gradients)?;
        self.waiting.insert(push.replica, push.id);
        let mut returned = BTreeSet::new();
        self.waiting.retain(|&replica, &mut id| self.driver.waits(replica) || !returned.insert(id));
        equal("the set of returned pushes", returned, push.returned.iter().copied().collect())?;
        self.compare(&push.state)
    }

    fn compare(&self, state: &ReplicasState) -> Check {
        let trainer = self.driver.trainer();
        let snapshot = trainer.snapshot();
        equal("the global step", snapshot.global_step.get(), state.global_step)?;
        let counts = [DENSE, SPARSE].map(|name| trainer.num_accumulated(name).unwrap_or(0));
        equal("the count of gradients held", counts, state.accumulated)?;
        equal("the number of tokens", trainer.num_tokens(), state.tokens)?;
        equal("the list of local steps", &self.driver.local_steps(), &state.local_steps)?;
        tensor(&snapshot.variables, DENSE, "dense", &state.dense)?;
        tensor(&snapshot.variables, SPARSE, "sparse", &state.sparse)?;
        match (trainer.averages(), &state.average_dense, &state.average_sparse) {
            (Some(averages), Some(dense), Some(sparse)) => {
                tensor(&averages, DENSE, "average_dense", dense)?;
                tensor(&averages, SPARSE, "average_sparse", sparse)
            }
            (None, None, None) => Ok(()),
            (averages, ..) => {
                let kept = averages.is_some();
                Err(format!("`ema_decay` says {kept} about averages, the state says otherwise"))
            }
        }
    }
}

fn tensor<T: Scalar>(variables: &Variables<T>, name: &str, what: &str, expected: &Tensor) -> Check {
    let values = variables.get(name).map_err(|error| error.to_string())?;
    Tolerance::UPDATE.tensor(what, values.view(), expected)
}
