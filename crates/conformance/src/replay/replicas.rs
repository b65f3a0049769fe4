//! Replays of the whole composition under the reference preset (R-18 to R-28, P-16).

use std::collections::{BTreeMap, BTreeSet};

use sync_replicas::{Gradients, IndexedSlices, Scalar, Variables};
use testing::ManualReplicas;

use super::driven::{DENSE, Driven, SPARSE, describe, variables};
use super::network::Network;
use crate::compare::{Check, Tolerance, equal};
use crate::trace::{ReplicasEvent, ReplicasPush, ReplicasState, ReplicasTrace, Tensor};
use crate::{Failure, Place};

/// In this process.
pub(super) fn replay<T: Scalar>(trace: &ReplicasTrace) -> Result<(), Failure> {
    let described = describe::<T>(trace).and_then(|it| Ok((it, variables(trace)?)));
    let (described, variables) = described.map_err(Failure::start)?;
    let trainer = described.build(variables).map_err(Failure::start)?;
    let driver = ManualReplicas::new(trainer, trace.total_num_replicas);
    play::<T, _>(trace, &mut Run { driver, waiting: BTreeMap::new() })
}

/// On a cluster with so many parameter servers.
pub(super) fn replay_on_cluster<T: Scalar>(
    trace: &ReplicasTrace,
    servers: usize,
) -> Result<(), Failure> {
    let network = Network::<T>::start(trace, servers).map_err(Failure::start)?;
    let mut run = Run { driver: network, waiting: BTreeMap::new() };
    play::<T, _>(trace, &mut run)?;
    run.driver.finish().map_err(|error| Failure::new(Place::End, error))
}

fn play<T: Scalar, D: Driven<T>>(trace: &ReplicasTrace, run: &mut Run<D>) -> Result<(), Failure> {
    for (number, event) in trace.events.iter().enumerate() {
        let (name, check) = match event {
            ReplicasEvent::Start { state } => ("start", run.compare::<T>(state)),
            ReplicasEvent::Push(push) => ("push", run.push::<T>(push)),
        };
        check.map_err(|difference| Failure::at(number, name, difference))?;
    }
    Ok(())
}

struct Run<D> {
    driver: D,
    /// The id of the last push of each replica that waits for a token.
    waiting: BTreeMap<usize, i64>,
}

impl<D> Run<D> {
    /// One step of one replica.
    ///
    /// Whose wait ended is compared as a set. Which of the waiting replicas gets which token would
    /// be the scheduler's choice if there were fewer tokens than replicas. There never are: while a
    /// replica waits the queue is empty, then max(N, A) tokens of one step come at once, and at
    /// most N replicas wait.
    fn push<T: Scalar>(&mut self, push: &ReplicasPush) -> Check
    where
        D: Driven<T>,
    {
        let rows = IndexedSlices::new(push.indices.clone(), push.values.to::<T>(), None)
            .map_err(|error| error.to_string())?;
        let gradients = Gradients::new().dense(DENSE, push.dense.to::<T>()).sparse(SPARSE, rows);
        self.driver.push(push.replica, gradients)?;
        self.waiting.insert(push.replica, push.id);
        let mut returned = BTreeSet::new();
        self.waiting.retain(|&replica, &mut id| self.driver.waits(replica) || !returned.insert(id));
        equal("the set of returned pushes", returned, push.returned.iter().copied().collect())?;
        self.compare::<T>(&push.state)
    }

    fn compare<T: Scalar>(&mut self, state: &ReplicasState) -> Check
    where
        D: Driven<T>,
    {
        let seen = self.driver.look()?;
        equal("the global step", seen.global_step, state.global_step)?;
        equal("the count of gradients held", seen.accumulated, state.accumulated)?;
        equal("the number of tokens", seen.tokens, state.tokens)?;
        equal("the list of local steps", &seen.local_steps, &state.local_steps)?;
        tensor(&seen.variables, DENSE, "dense", &state.dense)?;
        tensor(&seen.variables, SPARSE, "sparse", &state.sparse)?;
        match (&seen.averages, &state.average_dense, &state.average_sparse) {
            (Some(averages), Some(dense), Some(sparse)) => {
                tensor(averages, DENSE, "average_dense", dense)?;
                tensor(averages, SPARSE, "average_sparse", sparse)
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
