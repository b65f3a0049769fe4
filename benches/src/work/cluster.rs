//! Whole steps of a cluster: one parameter server and replicas, each a process, on loopback.
//!
//! Every replica pushes a gradient and pulls what it needs at each step. Computing costs nothing:
//! the gradient is what a buffer holds. Invariant: all replicas stand still between two
//! measurements, with the variables of the last step.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cluster::spec::Node;
use cluster::{Cluster, OnCluster};
use optim::Sgd;
use sync_replicas::options::StepTimeout;
use sync_replicas::{
    BoxError, Computed, Hooks, Keys, Model, SyncReplicas, Variables, Work as Given,
};

use super::process::{Process, done, free_address, next_number};
use super::relay::Relay;
use super::step::watched;
use super::trained::Trained;
use crate::Work;

/// The processes of one training.
pub(crate) struct Processes {
    pub(super) workers: Vec<Process>,
    pub(super) server: Process,
    /// Between them and the server, where bytes are counted.
    pub(super) relay: Option<Relay>,
}

impl Processes {
    pub(crate) fn new(replicas: usize, trained: Trained) -> Self {
        Self::start(("ps", "worker"), replicas, trained, |_| None)
    }

    /// The same with all that they do recorded by the server, and read by who looks at it.
    pub(crate) fn recorded(replicas: usize, trained: Trained) -> Self {
        Self::start(("recording-ps", "worker"), replicas, trained, |_| None)
    }

    /// A replica that looks up what it trains, over and over.
    pub(crate) fn reader(trained: Trained) -> Self {
        Self::start(("ps", "reader"), 1, trained, |_| None)
    }

    /// The same with a relay that counts what passes.
    pub(super) fn counted(replicas: usize, trained: Trained) -> Self {
        Self::start(("ps", "worker"), replicas, trained, |server| Some(Relay::new(server)))
    }

    fn start(
        (ps, worker): (&str, &str),
        replicas: usize,
        trained: Trained,
        relay: impl FnOnce(&str) -> Option<Relay>,
    ) -> Self {
        let address = free_address();
        // Nobody calls a worker.
        let workers = vec!["127.0.0.1:1"; replicas].join(",");
        let trained = trained.to_string();
        let start = |role, server: &str, index: usize| {
            Process::start(&[role, server, &workers, &index.to_string(), &trained])
        };
        let server = start(ps, &address, 0);
        let relay = relay(&address);
        let called = relay.as_ref().map_or(&address, Relay::address);
        let started = (0..replicas).map(|index| start(worker, called, index)).collect();
        Self { workers: started, server, relay }
    }

    /// The same after so many steps, so that a table has the rows that they updated.
    pub(crate) fn warm(mut self, steps: u64) -> Self {
        self.run(steps);
        self
    }
}

impl Work for Processes {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        self.workers.iter_mut().for_each(|worker| worker.tell(times));
        self.workers.iter_mut().for_each(Process::wait);
        begun.elapsed()
    }
}

/// The server's most memory over the size of the variables, after some steps.
pub(crate) fn memory_of_server(replicas: usize, parameters: usize) -> Result<f64, String> {
    let processes = Processes::new(replicas, Trained::Vector(parameters)).warm(10);
    Ok(processes.server.peak_memory()? / (parameters * size_of::<f32>()) as f64)
}

/// A child: the process of this role.
pub(super) fn take_part(part: &str, words: &[&str]) {
    let records = part == "recording-ps";
    let role = if records { "ps" } else { part };
    let (cluster, trained) = placed(role, words);
    if role == "ps" {
        std::thread::spawn(|| {
            loop {
                let _ = next_number();
            }
        });
    }
    let described = described(&cluster);
    let described = if records { described.record(&watched()) } else { described };
    described
        .on(&cluster)
        .build(trained.variables())
        .and_then(|trainer| trainer.fit(&Gate::new(trained), |_| trained.batches(), Hooks::new()))
        .expect("it trains until its parent ends");
}

/// In a child: its place, and what is trained.
pub(super) fn placed(role: &str, words: &[&str]) -> (Cluster, Trained) {
    let [servers, workers, index, trained] = words else { panic!("expected a place") };
    let index = index.parse().expect("a number");
    let place = Node::from_flags(servers, workers, role, index).expect("a place");
    (Cluster::new(place), trained.parse().expect("what is trained"))
}

/// In a child: the training, in which a step may be held for as long as a measurement takes.
pub(super) fn described(cluster: &Cluster) -> SyncReplicas<Sgd> {
    let replicas = cluster.place().num_replicas() as usize;
    SyncReplicas::new(Sgd::new(1e-3))
        .replicas_to_aggregate(replicas)
        .total_num_replicas(replicas)
        .step_timeout(StepTimeout::Never)
}

/// Lets a replica go so many steps, then tells the parent and waits for its word.
struct Gate {
    trained: Trained,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: bool,
    left: u64,
}

impl Gate {
    fn new(trained: Trained) -> Self {
        Self { trained, state: Mutex::default() }
    }
}

impl Model<f32> for Gate {
    type Batch = Vec<i64>;

    fn keys(&self, batch: &Vec<i64>) -> Keys {
        self.trained.keys(batch)
    }

    fn gradients(
        &self,
        _: &Variables<f32>,
        batch: &Vec<i64>,
        work: &Given<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let mut state = self.state.lock().map_err(|_| "it panicked")?;
        if state.left == 0 {
            if std::mem::replace(&mut state.begun, true) {
                done();
            }
            state.left = next_number();
        }
        state.left -= 1;
        let gradients = self.trained.gradients(batch, work)?;
        Ok(Some(Computed { loss: 0.0, examples: 1, gradients }))
    }
}
