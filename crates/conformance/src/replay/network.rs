//! A cluster driven by hand: every server and every replica is a thread with the front door that a
//! user has, and they talk over TCP.
//!
//! A replica computes what the replay hands it: until then its model waits. How all stands is asked
//! of the coordinator, and read from a checkpoint of all servers. That is also how the replay knows
//! that nothing is under way: a checkpoint is taken behind all that servers were told before.

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::spec::Node;
use cluster::{Cluster, Connector, OnCluster, ProcessHandle, ServerStatus, StatusError};
use optim::{ExponentialMovingAverage, Optimizer};
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, Scalar, SyncReplicas, Variables, Work,
};
use tempfile::TempDir;

use super::driven::{DENSE, Driven, SPARSE, Seen, describe, variables};
use crate::trace::ReplicasTrace;

/// Nothing on one machine takes this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// A running cluster.
pub(super) struct Network<T: Scalar> {
    threads: Vec<JoinHandle<Result<(), String>>>,
    /// Ends the training.
    stop: ProcessHandle,
    desks: Vec<Sender<Gradients<T>>>,
    /// Which replica's model was called.
    called: Receiver<usize>,
    has_token: Vec<bool>,
    connector: Connector,
    /// Where checkpoints are.
    folder: TempDir,
    ema_decay: Option<f64>,
    status: Option<ServerStatus>,
}

/// A replica's model: it says that it was called, and waits for what to answer.
struct Given<T> {
    called: Sender<usize>,
    desk: Mutex<Receiver<Gradients<T>>>,
}

impl<T: Scalar> Model<T> for Given<T> {
    type Batch = ();

    fn gradients(
        &self,
        _: &Variables<T>,
        (): &(),
        work: &Work<'_, T>,
    ) -> Result<Option<Computed<T>>, BoxError> {
        // Fails once the replay is over, as does the wait.
        let _ = self.called.send(work.replica.get() as usize);
        let given = self.desk.lock().unwrap_or_else(PoisonError::into_inner).recv();
        Ok(given.ok().map(|gradients| Computed { loss: 0.0, examples: 1, gradients }))
    }
}

/// Batches without end.
struct Endless;

impl sync_replicas::BatchSource for Endless {
    type Batch = ();

    fn batch(&mut self, _: u64) -> Option<()> {
        Some(())
    }
}

impl<T: Scalar> Network<T> {
    /// Starts all of it, and waits until every replica has joined.
    pub(super) fn start(trace: &ReplicasTrace, servers: usize) -> Result<Self, String> {
        let replicas = trace.total_num_replicas;
        if replicas > MOST {
            return Err(format!("{replicas} replicas are too many for a cluster of threads"));
        }
        let (ps, workers) = (addresses(servers)?, addresses(replicas)?);
        let place = |role: &str, index: usize| {
            Node::from_flags(&ps, &workers, role, index as u64).map_err(|error| error.to_string())
        };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let first = Cluster::new(place("ps", 0)?);
        let (call, called) = channel();
        let mut network = Self {
            threads: Vec::new(),
            stop: first.process_handle(),
            desks: Vec::new(),
            called,
            has_token: vec![false; replicas],
            connector: first.connector().map_err(|error| error.to_string())?,
            folder,
            ema_decay: trace.ema_decay,
            status: None,
        };
        let mut processes = vec![first];
        for index in 1..servers {
            processes.push(Cluster::new(place("ps", index)?));
        }
        for index in 0..replicas {
            processes.push(Cluster::new(place("worker", index)?));
        }
        for cluster in processes {
            let (desk, given) = channel();
            if cluster.place().replica_id().is_some() {
                network.desks.push(desk);
            }
            let model = Given { called: call.clone(), desk: Mutex::new(given) };
            let (description, values) = (describe::<T>(trace)?, variables::<T>(trace)?);
            let folder = network.folder.path().to_owned();
            network.threads.push(std::thread::spawn(move || {
                take_part(&cluster, description, values, &model, &folder)
            }));
        }
        network.until("all replicas join", |status| {
            let Some(coordinator) = &status.coordinator else { return false };
            status.serving == Some(true)
                && coordinator.replicas.iter().all(|it| it.state != "absent")
        })?;
        network.settle()?;
        Ok(network)
    }

    /// Ends the training, and says how one of the threads failed, if one did.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        self.stop.end_training();
        self.desks.clear();
        let threads = self.threads.drain(..);
        let ends: Vec<_> = threads
            .map(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".to_owned())))
            .collect();
        ends.into_iter().collect()
    }

    /// Asks the coordinator until it is so.
    fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&ServerStatus) -> bool,
    ) -> Result<ServerStatus, String> {
        let begun = Instant::now();
        loop {
            // It may not listen yet.
            let last = match call(cluster::status(&self.connector, 0)) {
                Ok(status) if wanted(&status) => return Ok(status),
                Ok(status) => format!("{status:?}"),
                Err(error) => error,
            };
            if begun.elapsed() > PATIENCE {
                return Err(format!("{what}: not within {} s; {last}", PATIENCE.as_secs()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until every replica is as far as it can get.
    fn settle(&mut self) -> Result<(), String> {
        let written = self.until("a status", |_| true)?.checkpoints;
        call(cluster::save(&self.connector))?;
        let status = self.until("a checkpoint", |status| status.checkpoints > written)?;
        let replicas = status.coordinator.iter().flat_map(|it| &it.replicas);
        let computing: Vec<bool> = replicas.map(|it| it.state == "computing").collect();
        while let Some(missing) = (0..computing.len()).find(|&n| computing[n] && !self.has_token[n])
        {
            let called = self.called.recv_timeout(PATIENCE);
            self.note(called.map_err(|error| match error {
                RecvTimeoutError::Timeout => format!("replica {missing} has a token and waits"),
                RecvTimeoutError::Disconnected => "all replicas have ended".to_owned(),
            })?)?;
        }
        while let Ok(replica) = self.called.try_recv() {
            self.note(replica)?;
        }
        self.status = Some(status);
        match self.has_token == computing {
            true => Ok(()),
            false => Err(format!("tokens: {computing:?}, who computes: {:?}", self.has_token)),
        }
    }

    fn note(&mut self, replica: usize) -> Result<(), String> {
        match self.has_token.get_mut(replica) {
            Some(has_token) if !*has_token => {
                *has_token = true;
                Ok(())
            }
            _ => Err(format!("replica {replica} computes twice at once")),
        }
    }
}

impl<T: Scalar> Driven<T> for Network<T> {
    fn push(&mut self, replica: usize, gradients: Gradients<T>) -> Result<(), String> {
        let count = self.desks.len();
        let Some(desk) = self.desks.get(replica) else {
            return Err(format!("replica {replica} pushes, and there are {count} of them"));
        };
        if self.waits(replica) {
            return Err(format!("replica {replica} waits for a token, and was recorded to push"));
        }
        desk.send(gradients).map_err(|_| format!("replica {replica} has ended"))?;
        self.has_token[replica] = false;
        let batches =
            |status: &ServerStatus| status.coordinator.as_ref().map(|it| it.totals.batches);
        let before = self.status.as_ref().and_then(batches);
        self.until("a push counts", |status| batches(status) > before)?;
        self.settle()
    }

    fn waits(&self, replica: usize) -> bool {
        self.has_token.get(replica).is_some_and(|has_token| !has_token)
    }

    fn look(&mut self) -> Result<Seen<T>, String> {
        let status = self.status.as_ref().and_then(|status| status.coordinator.as_ref());
        let status = status.ok_or("the coordinator said nothing of itself")?;
        let newest = checkpoint::latest(self.folder.path()).map_err(|error| error.to_string())?;
        let newest = newest.ok_or("there is no checkpoint")?;
        let state: TrainingState<T> = checkpoint::read(&newest).map_err(|it| it.to_string())?;
        let step = state.global_step.get();
        if step != status.global_step {
            return Err(format!("all servers are at step {step}, not {}", status.global_step));
        }
        // The order of variables is that of lanes.
        let accumulated = [0, 1].map(|lane| status.gradients_by_lane.get(lane).copied());
        let averages = self.ema_decay.map(|decay| averages(&state, decay)).transpose()?;
        Ok(Seen {
            global_step: step,
            accumulated: accumulated.map(Option::unwrap_or_default),
            tokens: status.tokens,
            local_steps: status.replicas.iter().map(|it| it.local_step).collect(),
            variables: state.variables,
            averages,
        })
    }
}

impl<T: Scalar> Drop for Network<T> {
    fn drop(&mut self) {
        // After a failure; no caller is left to be told of another.
        self.stop.end_training();
        self.desks.clear();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// One call, over a connection that ends with it.
fn call<V>(call: impl Future<Output = Result<V, StatusError>>) -> Result<V, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(call).map_err(|error| error.to_string())
}

/// More threads than a machine likes.
const MOST: usize = 64;

/// One process's part, to the end of the training.
fn take_part<T: Scalar>(
    cluster: &Cluster,
    description: SyncReplicas<Box<dyn Optimizer<T>>>,
    variables: Variables<T>,
    model: &Given<T>,
    folder: &Path,
) -> Result<(), String> {
    let task = cluster.place().task;
    let hooks = Hooks::new().checkpoints(folder, u64::MAX, 1);
    let trainer = description.on(cluster).build(variables).map_err(|error| error.to_string())?;
    let ended = trainer.fit(model, |_| Endless, hooks);
    ended.map(drop).map_err(|error| format!("{task}: {error}"))
}

fn averages<T: Scalar>(state: &TrainingState<T>, decay: f64) -> Result<Variables<T>, String> {
    let saved = state.averages.as_ref().ok_or("the checkpoint has no averages")?;
    let mut kept = ExponentialMovingAverage::new(decay).map_err(|error| error.to_string())?;
    for (name, values) in state.variables.iter() {
        kept.add(name, values.view()).map_err(|error| error.to_string())?;
    }
    kept.restore(saved).map_err(|error| error.to_string())?;
    [DENSE, SPARSE].into_iter().try_fold(Variables::new(), |all, name| {
        let average = kept.average(name).ok_or_else(|| format!("`{name}` has no average"))?;
        all.with(name, average.to_owned()).map_err(|error| error.to_string())
    })
}

/// Free ports, as `127.0.0.1:PORT,...`.
fn addresses(count: usize) -> Result<String, String> {
    let listen = |_| TcpListener::bind("127.0.0.1:0").and_then(|it| Ok((it.local_addr()?, it)));
    let listeners: Vec<_> = (0..count)
        .map(listen)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("expected {count} free ports on loopback, got: {error}"))?;
    let addresses: Vec<_> = listeners.iter().map(|(address, _)| address.to_string()).collect();
    Ok(addresses.join(","))
}
