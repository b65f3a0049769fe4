//! A parameter server of the program: its shard, and the server around it.

use std::sync::Arc;

use optim::{Optimizer, OptimizerState};
use sync_replicas::Scalar;
use sync_replicas::engine::StopReason;
use tokio::time::Instant;

use super::life::{draw, insist_on_stop};
use super::process_handle::Requests;
use super::{ClusterError, ClusterReport, ClusterTrainer, Counts};
use crate::client::Connector;
use crate::coordinator::batch_size;
use crate::index::ServerIndex;
use crate::placement::{Part, Placement, cut_dense};
use crate::server::{Listener, ServeError, Server, ServerSettings, serve};
use crate::shard::{Shard, ShardSettings};

impl<T: Scalar, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
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
        let connector = cluster.connector()?;
        let server = self.server(connector.clone())?;
        cluster.status.set(&server);
        let (stopped, left) = tokio::select! {
            stopped = serve(server.clone(), listener, settings) => (stopped?, false),
            left = pass_on(cluster, &connector, &server) => {
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
    pub(crate) fn server(self, connector: Connector) -> Result<Arc<Server<T>>, ClusterError> {
        let settings = self.server_settings(connector);
        Ok(Server::new(settings, self.shard()?, draw()))
    }

    /// What it must know.
    fn server_settings(&self, connector: Connector) -> ServerSettings {
        let (cluster, config) = (self.cluster, self.parts.config.clone());
        let (needed, replicas) =
            (config.settings().replicas_to_aggregate, config.total_num_replicas());
        let usual = || staging::<T>(&self.placement, needed, replicas);
        ServerSettings {
            index: ServerIndex::new(cluster.place.task.index as usize),
            placement: Arc::clone(&self.placement),
            agreement: self.agreement.clone(),
            config,
            run: self.parts.run,
            record: self.parts.record.clone(),
            values_from_chief: self.values_from_chief,
            variables: self.placement.variables().len() + self.placement.tables().len(),
            wire: cluster.wire,
            connector,
            duties: self.duties.clone(),
            reconnect_timeout: cluster.reconnect_timeout,
            staging: cluster.staging.unwrap_or_else(usual),
            guard: cluster.guard(),
        }
    }

    /// Its shard, with the program's values if this process has them.
    fn shard(self) -> Result<Shard<T>, ClusterError> {
        let index = self.cluster.place.task.index as usize;
        let settings = ShardSettings {
            wire: self.cluster.wire,
            largest_contribution: self.cluster.largest_contribution,
            ..ShardSettings::of(&self.parts)
        };
        let optimizer = OptimizerState::new(self.parts.optimizer)
            .map_err(|error| ClusterError::Build(error.into()))?;
        let (parts, sections) = (self.placement.parts(index), self.placement.sections(index));
        if self.values_from_chief {
            return Ok(Shard::without_values(&sections, optimizer, settings)?);
        }
        let arrays: Vec<_> = self.variables.iter().map(|(_, array)| array).collect();
        let initial = parts.iter().map(|part| cut_dense(part, arrays[part.variable.get()].view()));
        let initial = initial.map(|view| view.to_owned()).collect();
        Ok(Shard::new(&sections, initial, optimizer, settings)?)
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
pub(crate) async fn pass_on<T: Scalar>(
    cluster: &super::Cluster,
    connector: &Connector,
    server: &Server<T>,
) -> Result<(), ServeError> {
    let mut heard = cluster.handle.requests();
    let mut done = Requests::default();
    let coordinates = cluster.place.task.index == 0;
    loop {
        let requests = *heard.borrow_and_update();
        if requests.saves != done.saves && coordinates {
            server.save();
        }
        if requests.end && !done.end {
            if coordinates {
                server.stop(StopReason::Requested(STOPPED.to_owned()));
            } else {
                let connector = connector.clone();
                tokio::spawn(async move { insist_on_stop(&connector, STOPPED).await });
            }
        }
        if requests.expect_no_returns {
            server.expect_no_returns();
        }
        if requests.leave {
            return server.leave().await;
        }
        done = requests;
        // Fails only when the sender is gone, which the cluster holds.
        let _ = heard.changed().await;
    }
}

/// Why training ends when a parameter server is asked to end it.
const STOPPED: &str = "a parameter server was asked to end it";

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
