//! A worker: one replica's loop, and in the chief the turns of the hooks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use optim::Optimizer;
use sync_replicas::driver::{BoxedHooks, GradientBuffers, describe};
use sync_replicas::engine::Outcome;
use sync_replicas::options::NonFinite;
use sync_replicas::record::Record;
use sync_replicas::{BatchSource, Snapshot, Work};
use sync_replicas::{GlobalStep, Gradient, Model, ReplicaId, Scalar};
use tokio::time::Instant;

use super::hooks::ChiefHooks;
use super::serving::draw;
use super::{ClusterError, ClusterReport, ClusterTrainer, Counts, StopHandle};
use crate::client::{Connector, Departure, PushError, ReplicaClient, ReplicaSettings, WorkTimes};
use crate::coordinator::StepMade;

impl<T: Scalar + bytemuck::Pod, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    pub(super) async fn compute<M, S>(
        self,
        model: &M,
        shard: impl Fn(ReplicaId) -> S + Sync,
        hooks: BoxedHooks<T>,
    ) -> Result<ClusterReport<T>, ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        let connector = self.cluster.reach()?;
        self.compute_over((connector, draw()), model, shard, hooks).await
    }

    /// The same over connections of any kind, as this life of the process.
    pub(crate) async fn compute_over<M, S>(
        self,
        (connector, process): (Connector, u64),
        model: &M,
        shard: impl Fn(ReplicaId) -> S + Sync,
        hooks: BoxedHooks<T>,
    ) -> Result<ClusterReport<T>, ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        let place = &self.cluster.place;
        let replica = ReplicaId::new(place.replica_id().unwrap_or_default());
        let rules = self.parts.config.settings();
        let settings = ReplicaSettings {
            replica,
            process,
            agreement: self.agreement,
            duties: self.duties,
            wire: self.cluster.wire,
            reconnect_timeout: self.cluster.reconnect_timeout,
            heartbeat: rules.lease.unwrap_or(super::DEFAULT_LEASE) / 4,
            tell_superseded: rules.tell_superseded,
            skips_not_finite: rules.non_finite == NonFinite::Skip,
        };
        // Hooks hold the variables that they saw, which is one more copy a step.
        let chief = place.is_chief() && !hooks.is_empty();
        let start = || ChiefHooks::start(hooks, self.variables.clone());
        let hooks = chief.then(start).transpose()?;
        // One in the model's hands, one on its way.
        let buffers = GradientBuffers::new(&self.variables, 2);
        let (placement, variables) = (self.placement, self.variables);
        let client = ReplicaClient::new(connector.clone(), settings, placement, variables, chief);
        let begun = Instant::now();
        let mut worker = Worker {
            client,
            hooks,
            buffers,
            connector,
            reconnect_timeout: self.cluster.reconnect_timeout,
            replica,
            counts: Counts::default(),
            record: self.parts.record.filter(|_| place.is_chief()),
            left: false,
            wished: false,
        };
        // A wish is heard in the middle of a batch, too.
        let (wish, in_vain) = (self.cluster.stop.clone(), worker.client.in_vain());
        let hears = tokio::spawn(async move {
            wish.wished().await;
            in_vain();
        });
        let ended = worker.run(model, shard(replica), &self.cluster.stop).await;
        hears.abort();
        worker.finish(ended, place.task, begun).await
    }
}

struct Worker<T: Scalar + bytemuck::Pod> {
    client: ReplicaClient<T>,
    /// In the chief, if it has any.
    hooks: Option<ChiefHooks<T>>,
    buffers: GradientBuffers<T>,
    connector: Connector,
    reconnect_timeout: Duration,
    replica: ReplicaId,
    counts: Counts,
    /// In the chief, if there is to be one.
    record: Option<Record>,
    left: bool,
    /// A hook has wished for the end; no hook runs after that but for its last turn.
    wished: bool,
}

impl<T: Scalar + bytemuck::Pod> Worker<T> {
    /// Computes until training ends, or this replica's data does.
    async fn run<M, S>(
        &mut self,
        model: &M,
        mut shard: S,
        stop: &StopHandle,
    ) -> Result<(), ClusterError>
    where
        M: Model<T>,
        S: BatchSource<Batch = M::Batch>,
    {
        loop {
            let waiting = Instant::now();
            let grant = tokio::select! {
                biased;
                () = stop.wished() => {
                    self.left = true;
                    self.client.leave(Departure::ForNow).await;
                    return Ok(());
                }
                grant = self.client.next_step() => grant?,
            };
            let waited = waiting.elapsed();
            self.counts.waited += waited;
            self.run_hooks().await?;
            let Some(grant) = grant else { return Ok(()) };
            crash_point!("worker/token-held");
            let Some(batch) = shard.batch(grant.number) else {
                self.client.leave(Departure::Done).await;
                return Ok(());
            };
            let superseded = self.client.superseded(&grant);
            let step = self.client.global_step();
            let work = Work::new(self.replica, step, grant.number, &superseded, &self.buffers);
            let (variables, began) = (self.client.variables(), Instant::now());
            // P-5: whatever happens to one replica, the others are told and go on.
            let computed = catch_unwind(AssertUnwindSafe(|| {
                model.gradients(variables, &batch, &work).map_err(|error| error.to_string())
            }))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
            let ended = Instant::now();
            let done = WorkTimes { waited, computed: ended - began, ended };
            let computed = match computed {
                Ok(Some(computed)) => computed,
                Ok(None) => {
                    self.counts.superseded += 1;
                    self.client.give_up(done);
                    continue;
                }
                Err(reason) => {
                    self.client.leave(Departure::Failed(reason.clone())).await;
                    return Err(ClusterError::Model(reason));
                }
            };
            let pushed = tokio::select! {
                biased;
                // What it has computed is left to another, as it is when it dies.
                () = stop.wished() => {
                    self.left = true;
                    self.client.leave(Departure::ForNow).await;
                    return Ok(());
                }
                pushed = self.client.push(&grant, computed, done) => pushed,
            };
            let spent = self.client.take_spent();
            self.buffers.take_back(spent.map(|(index, it)| (index, Gradient::Dense(it))));
            self.book(pushed).await?;
        }
    }

    /// Counts what became of a push; a replica that cannot go on leaves.
    async fn book(&mut self, pushed: Result<Outcome, PushError>) -> Result<(), ClusterError> {
        match pushed {
            Ok(Outcome::Stale { .. }) => self.counts.stale += 1,
            Ok(Outcome::Duplicate { .. }) => self.counts.duplicates += 1,
            Ok(Outcome::NotFinite) => self.counts.non_finite += 1,
            Ok(_) => self.counts.accepted += 1,
            Err(PushError::Lost { reason }) => {
                tracing::info!(reason, "a push was lost");
                self.counts.lost += 1;
            }
            Err(PushError::Ended) => {}
            Err(PushError::Wait(error)) => return Err(error.into()),
            Err(error) => {
                self.client.leave(Departure::Failed(describe(&error))).await;
                return Err(ClusterError::Push(error));
            }
        }
        Ok(())
    }

    /// The hooks' turn for the steps that were made since the last one.
    async fn run_hooks(&mut self) -> Result<(), ClusterError> {
        for failed in self.client.take_failed_saves() {
            tracing::info!(step = failed.step, reason = failed.reason, "no checkpoint was written");
            if let Some(record) = &self.record {
                record.add_failed_save(failed);
            }
        }
        let Some(hooks) = self.hooks.as_ref().filter(|_| !self.wished) else { return Ok(()) };
        let made: Vec<StepMade> = self.client.take_made().collect();
        for made in made {
            crash_point!("chief/before-hooks");
            let snapshot = Snapshot {
                global_step: self.client.global_step(),
                generation: self.client.generation(),
                variables: self.client.shown().clone(),
            };
            match hooks.run(&made, snapshot) {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    self.wished = true;
                    self.wish_to_stop(reason).await;
                    return Ok(());
                }
                Err(error) => {
                    let reason = error.to_string();
                    let insist = insist_on_stop(&self.connector, &reason);
                    // Where nobody comes back, nobody is left to be told.
                    let _ = tokio::time::timeout(self.reconnect_timeout, insist).await;
                    return Err(error.into());
                }
            }
            crash_point!("chief/after-hooks");
        }
        Ok(())
    }

    /// Has training end: told at once where the coordinator is there, and otherwise as soon as it
    /// is; this replica goes on meanwhile.
    async fn wish_to_stop(&self, reason: String) {
        if !request_stop(&self.connector, &reason).await {
            let connector = self.connector.clone();
            tokio::spawn(async move { insist_on_stop(&connector, &reason).await });
        }
    }

    async fn finish(
        mut self,
        ended: Result<(), ClusterError>,
        task: crate::spec::Task,
        begun: Instant,
    ) -> Result<ClusterReport<T>, ClusterError> {
        if let Err(error) = ended {
            // Servers that have ended wait for whoever may not have heard of it.
            self.client.close().await;
            return Err(error);
        }
        crash_point!("worker/before-result");
        // Whoever left would join again to fetch them.
        let last = if self.left { None } else { self.client.final_variables().await };
        let (global_step, variables) = match last {
            Some((step, variables)) => (step, Some(variables.clone())),
            None => (self.client.last_step().unwrap_or(self.client.global_step()), None),
        };
        self.run_hooks().await?;
        self.hooks.as_ref().map_or(Ok(()), ChiefHooks::close)?;
        let recorded = match self.record.take().filter(|_| !self.left) {
            Some(record) => self.client.final_record().await.map(|recorded| (record, recorded)),
            None => None,
        };
        self.client.close().await;
        crash_point!("worker/before-report");
        let mut report = ClusterReport {
            task,
            global_step,
            first_step: GlobalStep::default(),
            stopped: self.client.ended().unwrap_or("its data has ended").to_owned(),
            elapsed: begun.elapsed(),
            counts: self.counts,
            totals: self.hooks.as_ref().map(ChiefHooks::totals).unwrap_or_default(),
            generation: self.client.generation(),
            left: self.left,
            replicas: Vec::new(),
            variables,
        };
        if let Some((record, recorded)) = recorded {
            recorded.news.updates.into_iter().for_each(|update| record.add_update(update));
            record.add_spans(recorded.news.spans);
            (report.totals, report.replicas) = (recorded.totals, recorded.replicas);
            (report.elapsed, report.first_step) = (recorded.elapsed, recorded.first_step);
        }
        Ok(report)
    }
}

/// Asks the coordinator to end training; whether it has heard.
async fn request_stop(connector: &Connector, reason: &str) -> bool {
    let Err(error) = super::status::stop(connector, reason).await else { return true };
    let reason = error.to_string();
    tracing::warn!(reason, "the coordinator could not be told to stop");
    false
}

/// Asks the coordinator to end training until it has heard, however often it is away.
pub(super) async fn insist_on_stop(connector: &Connector, reason: &str) {
    while !request_stop(connector, reason).await {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Before a wish that was not heard is said again.
const AGAIN: Duration = Duration::from_millis(500);
