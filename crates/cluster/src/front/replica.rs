//! A worker's part without a loop: one replica's steps, and in the chief the turns of the hooks.
//!
//! The loop is beside it: a model in [`fit`], or the user's own through [`handle`]. Invariant: one
//! step is held at a time, and one that is not pushed is given back.

mod ending;
mod fit;
mod handle;
mod lookup;
mod own_record;
mod push;
mod shared_worker;
mod step;

pub use handle::ClusterReplica;
pub use push::ClusterPush;
pub use step::ClusterStep;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use optim::Optimizer;
use sync_replicas::driver::{BoxedHooks, GradientBuffers};
use sync_replicas::engine::Grant;
use sync_replicas::options::NonFinite;
use sync_replicas::record::{Record, SpanKind};
use sync_replicas::{Cancellation, ReplicaId, Scalar, Snapshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::own_record::OwnRecord;
use super::hooks::ChiefHooks;
use super::life::{insist_on_stop, request_stop};
use super::{ClusterError, ClusterTrainer, Counts, ProcessHandle};
use crate::client::{Connector, Departure, ReplicaClient, ReplicaSettings, WorkTimes};
use crate::coordinator::StepMade;
use crate::spec::Task;

impl<T: Scalar, O: Optimizer<T> + 'static> ClusterTrainer<'_, T, O> {
    /// This process's replica over connections of any kind, as this life of the process. Needs a
    /// tokio runtime.
    fn worker(
        self,
        connector: Connector,
        process: u64,
        hooks: BoxedHooks<T>,
    ) -> Result<Worker<T>, ClusterError> {
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
        let buffers = Arc::new(GradientBuffers::new(&self.variables, 2));
        let (placement, variables) = (self.placement, self.variables);
        let client = ReplicaClient::new(connector.clone(), settings, placement, variables, chief);
        // A request is heard in the middle of a batch, too.
        let (handle, in_vain) = (self.cluster.handle.clone(), client.in_vain());
        let hears = Hears(tokio::spawn(async move {
            handle.leave_requested().await;
            in_vain();
        }));
        Ok(Worker {
            client,
            hooks,
            buffers,
            connector,
            reconnect_timeout: self.cluster.reconnect_timeout,
            replica,
            task: place.task,
            begun: Instant::now(),
            handle: self.cluster.handle.clone(),
            abandoned: ProcessHandle::new(),
            counts: Counts::default(),
            record: self.parts.record.filter(|_| place.is_chief()),
            own_record: OwnRecord::of(self.cluster.own_record.clone(), replica),
            left: false,
            stop_requested: false,
            waited: Duration::ZERO,
            steps: 0,
            held: None,
            pushing: None,
            _hears: hears,
        })
    }
}

/// One replica, from its first step to its report.
struct Worker<T: Scalar> {
    client: ReplicaClient<T>,
    /// In the chief, if it has any.
    hooks: Option<ChiefHooks<T>>,
    buffers: Arc<GradientBuffers<T>>,
    connector: Connector,
    reconnect_timeout: Duration,
    replica: ReplicaId,
    task: Task,
    begun: Instant,
    handle: ProcessHandle,
    /// Told when this replica is no longer wanted.
    abandoned: ProcessHandle,
    counts: Counts,
    /// In the chief, if there is one.
    record: Option<Record>,
    own_record: OwnRecord,
    left: bool,
    /// A hook has requested the end; hooks then have only their last turn.
    stop_requested: bool,
    /// How long the wait for the present step has lasted.
    waited: Duration,
    /// How many steps it got.
    steps: u64,
    held: Option<Held>,
    /// The number of the step whose gradients are on their way.
    pushing: Option<u64>,
    _hears: Hears,
}

/// A step that is neither pushed nor given back.
struct Held {
    /// Its number among this replica's steps.
    serial: u64,
    grant: Grant,
    superseded: Cancellation,
    waited: Duration,
    began: Instant,
}

/// Ends with its replica.
struct Hears(JoinHandle<()>);

impl Drop for Hears {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Held {
    /// The work that ends now.
    fn times(&self) -> WorkTimes {
        let ended = Instant::now();
        WorkTimes { waited: self.waited, computed: ended - self.began, ended }
    }
}

impl<T: Scalar> Worker<T> {
    /// Waits for the next step, no longer than `until` if given: then `Pending`, and the next call
    /// goes on waiting. `None` when training has ended, or this replica has left. A step still held
    /// is given back, and the end of a push without a waiter is heard.
    async fn next_step(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Poll<Option<&mut Held>>, ClusterError> {
        if self.pushing.is_some() && self.wait_push(until).await?.is_pending() {
            return Ok(Poll::Pending);
        }
        self.give_back(None);
        if self.left {
            return Ok(Poll::Ready(None));
        }
        let waiting = Instant::now();
        // Only the wait is cut: whatever comes of it is done to its end.
        let grant = tokio::select! {
            biased;
            () = leave_requested(&self.handle, &self.abandoned) => {
                self.leave_for_now().await;
                return Ok(Poll::Ready(None));
            }
            grant = self.client.next_step() => Some(grant),
            () = over(until) => None,
        };
        let waited = waiting.elapsed();
        self.counts.waited += waited;
        self.waited += waited;
        let Some(grant) = grant else { return Ok(Poll::Pending) };
        // Held at once, so that it is given back when a hook fails.
        self.held = match grant {
            Ok(grant) => grant.map(|grant| self.hold(grant)),
            Err(error) => return Err(self.client.advise(error).await.into()),
        };
        self.run_hooks().await?;
        let Some(held) = &mut self.held else { return Ok(Poll::Ready(None)) };
        crash_point!("worker/token-held");
        held.began = Instant::now();
        Ok(Poll::Ready(Some(held)))
    }

    fn hold(&mut self, grant: Grant) -> Held {
        self.steps += 1;
        let superseded = self.client.superseded(&grant);
        let waited = std::mem::take(&mut self.waited);
        Held { serial: self.steps, grant, superseded, waited, began: Instant::now() }
    }

    /// Whether it holds the step with this number.
    fn holds(&self, serial: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.serial == serial)
    }

    /// Gives back the held step, if there is one: to another replica, if it is still needed. Unless
    /// the caller says whether it was superseded, the step itself does.
    fn give_back(&mut self, superseded: Option<bool>) {
        if let Some(held) = self.held.take() {
            let superseded = superseded.unwrap_or_else(|| held.superseded.is_cancelled());
            self.counts.superseded += u64::from(superseded);
            let times = held.times();
            if superseded {
                self.own_record.done(&held.grant, times, SpanKind::Superseded, 0);
            }
            self.client.give_up(times);
        }
    }

    /// Its process was asked to end.
    async fn leave_for_now(&mut self) {
        self.left = true;
        self.leave(Departure::ForNow).await;
    }

    /// Leaves cleanly; a held step goes to another replica.
    async fn leave(&mut self, departure: Departure) {
        (self.held, self.pushing) = (None, None);
        self.client.leave(departure).await;
    }

    /// The hooks' turn for the steps made since the last one.
    async fn run_hooks(&mut self) -> Result<(), ClusterError> {
        for failed in self.client.take_failed_saves() {
            tracing::info!(step = failed.step, reason = failed.reason, "no checkpoint was written");
            if let Some(record) = &self.record {
                record.add_failed_save(failed);
            }
        }
        let Some(hooks) = self.hooks.as_ref().filter(|_| !self.stop_requested) else {
            return Ok(());
        };
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
                    self.stop_requested = true;
                    self.request_stop(reason).await;
                    return Ok(());
                }
                Err(error) => {
                    let reason = error.to_string();
                    let insist = insist_on_stop(&self.connector, &reason);
                    // Where no process comes back, there is none left to tell.
                    let _ = tokio::time::timeout(self.reconnect_timeout, insist).await;
                    return Err(error.into());
                }
            }
            crash_point!("chief/after-hooks");
        }
        Ok(())
    }

    /// Has training end: at once if the coordinator is there, and otherwise as soon as it is; this
    /// replica goes on meanwhile.
    async fn request_stop(&self, reason: String) {
        if !request_stop(&self.connector, &reason).await {
            let connector = self.connector.clone();
            tokio::spawn(async move { insist_on_stop(&connector, &reason).await });
        }
    }
}

/// Until this replica is to leave: its process was asked to end, or the replica is no longer
/// wanted.
async fn leave_requested(handle: &ProcessHandle, abandoned: &ProcessHandle) {
    tokio::select! {
        () = handle.leave_requested() => {}
        () = abandoned.leave_requested() => {}
    }
}

/// Until this time, if it is given.
async fn over(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The end of a slice of a wait that begins now; `None` for one without an end.
fn end_of(slice: Duration) -> Option<Instant> {
    Instant::now().checked_add(slice)
}
