//! Whole steps of a cluster: one parameter server and replicas, each a process, on loopback.
//!
//! Every replica pushes a gradient of all parameters and pulls them at each step. Computing costs
//! nothing: the gradient is what its buffer holds. Invariant: all replicas stand still between two
//! measurements, with the variables of the last step.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cluster::spec::Node;
use cluster::{Cluster, OnCluster};
use ndarray::Array1;
use optim::Sgd;
use sync_replicas::{
    BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work as Given,
};

use super::process::{Process, done, free_address, next_number};
use crate::Work;

/// The processes of one training.
pub(crate) struct Processes {
    workers: Vec<Process>,
    server: Process,
}

impl Processes {
    pub(crate) fn new(replicas: usize, parameters: usize) -> Self {
        let server = free_address();
        // Nobody calls a worker.
        let workers = vec!["127.0.0.1:1"; replicas].join(",");
        let parameters = parameters.to_string();
        let start = |role, index: usize| {
            Process::start(&[role, &server, &workers, &index.to_string(), &parameters])
        };
        let server = start("ps", 0);
        let workers = (0..replicas).map(|index| start("worker", index)).collect();
        Self { workers, server }
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
    let mut processes = Processes::new(replicas, parameters);
    processes.run(10);
    let peak = processes.server.peak_memory();
    let peak = peak.ok_or("only Linux tells the most memory that a process had")?;
    Ok(peak / (parameters * size_of::<f32>()) as f64)
}

/// A child: the process of this role.
pub(super) fn take_part(role: &str, words: &[&str]) {
    let [servers, workers, index, parameters] = words else { panic!("expected a place") };
    let index = index.parse().expect("a number");
    let place = Node::from_flags(servers, workers, role, index).expect("a place");
    let replicas = workers.split(',').count();
    let parameters: usize = parameters.parse().expect("a number of parameters");
    let variables = Variables::new().with("w", Array1::<f32>::zeros(parameters)).expect("one name");
    if role == "ps" {
        std::thread::spawn(|| {
            loop {
                let _ = next_number();
            }
        });
    }
    SyncReplicas::new(Sgd::new(1e-3))
        .replicas_to_aggregate(replicas)
        .total_num_replicas(replicas)
        .on(&Cluster::new(place))
        .build(variables)
        .and_then(|trainer| trainer.fit(&Gate::default(), |_| std::iter::repeat(()), Hooks::new()))
        .expect("it trains until its parent ends");
}

/// Lets a replica go so many steps, then tells the parent and waits for its word.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: bool,
    left: u64,
}

impl Model<f32> for Gate {
    type Batch = ();

    fn gradients(
        &self,
        _: &Variables<f32>,
        (): &(),
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
        let gradients = Gradients::new().dense("w", work.buffer("w")?);
        Ok(Some(Computed { loss: 0.0, examples: 1, gradients }))
    }
}
