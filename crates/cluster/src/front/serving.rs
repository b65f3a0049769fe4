//! A parameter server of the program: its shard, and the server around it.

use std::sync::Arc;

use optim::{Optimizer, OptimizerState};
use sync_replicas::Scalar;
use sync_replicas::engine::StopReason;
use tokio::time::Instant;

use super::process_handle::Requests;
use super::{ClusterError, ClusterReport, ClusterTrainer, Counts};
use crate::client::Connector;
use crate::coordinator::batch_size;
use crate::index::ServerIndex;
use crate::placement::{Part, Placement, cut_dense};
use crate::server::{Listener, ServeError, Server, ServerSettings, serve};
use crate::shard::{AverageSettings, Shard, ShardSettings};

impl<T: Scalar + bytemuck::Pod, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    pub(super) async fn serve(self) -> Result<ClusterReport<T>, ClusterError> {
        let listener = self.cluster.listener().await?;
        self.serve_on(&listener).await
    }

    /// Serves on a socket until training is over.
    pub(super) async fn serve_on(
        self,
        listener: &Listener,
    ) -> Result<ClusterReport<T>, ClusterError> {
        let begun = Instant::now();
        let cluster = self.cluster;
        let settings = cluster.transport_settings()?;
        let reach = cluster.reach()?;
        let server = self.server(reach.clone())?;
        cluster.status.set(&server);
        let (stopped, left) = tokio::select! {
            stopped = serve(server.clone(), listener, settings) => (stopped?, false),
            left = pass_on(cluster, &reach, &server) => {
                left?;
                ("it was asked to end".to_owned(), true)
            }
        };
        let recorded = server.recorded();
        let first_step = recorded.as_ref().map(|it| it.first_step).unwrap_or_default();
        let elapsed = recorded.as_ref().map_or_else(|| begun.elapsed(), |it| it.elapsed);
        let (totals, replicas) = recorded.map(|it| (it.totals, it.replicas)).unwrap_or_default();
        Ok(ClusterReport {
            task: cluster.place.task,
            global_step: server.global_step(),
            first_step,
            stopped,
            elapsed,
            counts: Counts::default(),
            totals,
            generation: server.generation(),
            left,
            replicas,
            variables: None,
        })
    }

    /// The server of this process's place.
    ///
    /// # Errors
    /// [`ClusterError::Shard`] when a variable cannot have slots or averages.
    pub(crate) fn server(self, reach: Connector) -> Result<Arc<Server<T>>, ClusterError> {
        let index = self.cluster.place.task.index as usize;
        let config = self.parts.config;
        let optimizer = OptimizerState::new(self.parts.optimizer)
            .map_err(|error| ClusterError::Build(error.into()))?;
        let shard = ShardSettings {
            sparse_mean: self.parts.sparse_mean,
            sparse_merge: self.parts.sparse_merge,
            ordered: config.settings().order == sync_replicas::options::SummationOrder::Replica,
            admission: config.settings().admission,
            averages: self
                .parts
                .moving_average
                .map(|decay| AverageSettings { decay, variables: self.parts.variables_to_average }),
            wire: self.cluster.wire,
            non_finite: config.settings().non_finite,
            largest_contribution: self.cluster.largest_contribution,
        };
        let (parts, sections) = (self.placement.parts(index), self.placement.sections(index));
        let shard = if self.values_from_chief {
            Shard::without_values(&sections, optimizer, shard)
        } else {
            let arrays: Vec<_> = self.variables.iter().map(|(_, array)| array).collect();
            let initial =
                parts.iter().map(|part| cut_dense(part, arrays[part.variable.get()].view()));
            let initial = initial.map(|view| view.to_owned()).collect();
            Shard::new(&sections, initial, optimizer, shard)
        };
        let shard = shard?;
        let (needed, replicas) =
            (config.settings().replicas_to_aggregate, config.total_num_replicas());
        let staging =
            self.cluster.staging.unwrap_or_else(|| staging::<T>(&self.placement, needed, replicas));
        let settings = ServerSettings {
            index: ServerIndex::new(index),
            reconnect_timeout: self.cluster.reconnect_timeout,
            staging,
            variables: self.placement.variables().len() + self.placement.tables().len(),
            values_from_chief: self.values_from_chief,
            placement: self.placement,
            agreement: self.agreement,
            config,
            run: self.parts.run,
            record: self.parts.record,
            wire: self.cluster.wire,
            reach,
            checkpoints: self.duties.checkpoints,
            last_step: self.duties.last_step,
            nan_guard: self.duties.nan_guard,
            guard: self.cluster.guard(),
        };
        Ok(Server::new(settings, shard, draw()))
    }
}

/// How many contributions a server stages at once by default: all that there may be, unless they
/// are large.
///
/// Then it is those that may get stuck half way without a step waiting for them, those whose
/// decision has not left yet, one for each server, since so many senders keep all of them busy, and
/// one more.
fn staging<T>(placement: &Placement, needed: usize, replicas: usize) -> usize {
    let elements: usize = placement.parts(0).iter().map(Part::elements).sum();
    let bytes = elements.saturating_mul(size_of::<T>());
    if bytes.saturating_mul(replicas) <= LARGE {
        return replicas;
    }
    let undecided = if placement.shards() > 1 { batch_size(needed, usize::MAX) } else { 1 };
    (replicas.saturating_sub(needed) + undecided + placement.shards()).min(replicas)
}

/// Contributions of so many bytes together are not worth waiting for each other.
const LARGE: usize = 64 << 20;

/// Carries out the requests to this process, until it has left.
pub(crate) async fn pass_on<T: Scalar + bytemuck::Pod>(
    cluster: &super::Cluster,
    reach: &Connector,
    server: &Server<T>,
) -> Result<(), ServeError> {
    let mut wishes = cluster.stop.requests();
    let mut done = Requests::default();
    let coordinates = cluster.place.task.index == 0;
    loop {
        let wished = *wishes.borrow_and_update();
        if wished.saves != done.saves && coordinates {
            server.save();
        }
        if wished.end && !done.end {
            if coordinates {
                server.stop(StopReason::Requested(STOPPED.to_owned()));
            } else {
                let reach = reach.clone();
                tokio::spawn(async move { super::replica::insist_on_stop(&reach, STOPPED).await });
            }
        }
        if wished.expect_no_returns {
            server.expect_no_returns();
        }
        if wished.leave {
            return server.leave().await;
        }
        done = wished;
        // Fails only when the sender is gone, which the cluster holds.
        let _ = wishes.changed().await;
    }
}

/// Why training ends when a parameter server is asked to end it.
const STOPPED: &str = "a parameter server was asked to end it";

/// A number unique to this life of a process.
pub(super) fn draw() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        return now.unwrap_or_default().as_nanos() as u64;
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_contributions_are_staged_two_at_a_time_and_those_that_may_get_stuck() {
        let (small, large) = (1_000, 25_000_000);
        for (elements, servers, needed, replicas, expected) in [
            (small, 1, 4, 4, 4),
            (large, 1, 4, 4, 2),
            (large, 1, 3, 5, 4),
            (large, 1, 1, 2, 2),
            (large, 1, 1, 1, 1),
            (large, 1, 4, 2, 2),
            (large, 2, 4, 4, 3),
            (large, 16, 256, 256, 48),
            (large, 16, 240, 256, 62),
        ] {
            let placement = Placement::new(&[("w", vec![elements])], size_of::<f32>(), servers);
            let got = staging::<f32>(&placement, needed, replicas);
            assert_eq!(got, expected, "{elements} {servers} {needed} {replicas}");
        }
    }
}
