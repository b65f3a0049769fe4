//! A whole step of the front door: fetch, push, close, mean, update, tokens.
//!
//! All replicas must contribute to each step, so that each computes as many as there are.

use std::time::Duration;

use ndarray::{Array1, ArrayD};
use optim::Sgd;
use sync_replicas::record::{Cursor, Record};
use sync_replicas::{Gradients, Replica, ReplicaId, Step, SyncReplicas, Trainer, Variables};
use tokio::runtime::{Builder, Runtime};

use crate::{Work, together};

/// A training of one variable, `w`, in which so many replicas make a step.
///
/// # Panics
/// When there are no replicas.
#[must_use]
pub fn build(replicas: usize, parameters: usize) -> Trainer<f32> {
    build_of(SyncReplicas::new(Sgd::new(1e-3)), replicas, parameters)
}

fn build_of(settings: SyncReplicas<Sgd>, replicas: usize, parameters: usize) -> Trainer<f32> {
    let variables = Variables::new().with("w", Array1::<f32>::zeros(parameters)).expect("one name");
    settings.replicas_to_aggregate(replicas).build(variables).expect("the numbers fit")
}

/// A record that is read as often as a live page, a scrape and a log read it.
pub(crate) fn watched() -> Record {
    let record = Record::new();
    let watched = record.clone();
    std::thread::spawn(move || {
        let mut cursor = Cursor::default();
        loop {
            std::thread::sleep(Duration::from_millis(250));
            drop((watched.since(&mut cursor), watched.activity()));
        }
    });
    record
}

/// All replicas of one training, with a gradient each.
pub struct Replicas {
    trainer: Trainer<f32>,
    states: Vec<State>,
}

struct State {
    replica: Replica<f32>,
    gradient: Made,
}

/// How a replica makes its gradient.
enum Made {
    /// By cloning this, which is timed; of a small gradient nothing is quicker.
    Cloned(ArrayD<f32>),
    /// By copying this to a buffer of the step, which is timed.
    Copied(ArrayD<f32>),
    /// Not at all: it is what a buffer of the step has from the step before, as if computing took
    /// no time.
    Left,
}

impl Made {
    fn push(&self, step: Step<'_, f32>) {
        let buffer = || step.buffer("w").expect("it is a variable");
        let gradient = match self {
            Self::Cloned(made) => made.clone(),
            Self::Copied(made) => {
                let mut gradient = buffer();
                gradient.assign(made);
                gradient
            }
            Self::Left => buffer(),
        };
        step.push(Gradients::new().dense("w", gradient)).expect("it fits");
    }
}

impl Replicas {
    /// Joins them all.
    ///
    /// # Panics
    /// When there are no replicas.
    #[must_use]
    pub fn new(replicas: usize, parameters: usize) -> Self {
        Self::of(build(replicas, parameters), replicas, parameters)
    }

    /// The same with all that they do recorded, and read by who looks at it.
    pub(crate) fn recorded(replicas: usize, parameters: usize) -> Self {
        let record = watched();
        let settings = SyncReplicas::new(Sgd::new(1e-3)).record(&record);
        Self::of(build_of(settings, replicas, parameters), replicas, parameters)
    }

    fn of(trainer: Trainer<f32>, replicas: usize, parameters: usize) -> Self {
        let states = (0..replicas as u64).map(|id| State {
            replica: trainer.replica(ReplicaId::new(id)).expect("it is free"),
            gradient: Made::Cloned(ArrayD::from_elem([parameters].as_slice(), 1e-3)),
        });
        Self { states: states.collect(), trainer }
    }

    /// The same with gradients that are written to buffers of the step.
    #[must_use]
    pub fn with_buffers(mut self) -> Self {
        for state in &mut self.states {
            if let Made::Cloned(made) = &mut state.gradient {
                state.gradient = Made::Copied(std::mem::take(made));
            }
        }
        self
    }

    /// So many steps, each replica a thread; one replica is the caller's own.
    ///
    /// # Panics
    /// When a step is overdue.
    pub fn run_as_threads(&mut self, steps: u64) -> Duration {
        together(&mut self.states, |state| {
            for _ in 0..steps {
                let step = state.replica.next_step().expect("nobody is overdue");
                let step = step.expect("training goes on");
                state.gradient.push(step);
            }
        })
    }

    /// The training.
    #[must_use]
    pub fn trainer(&self) -> &Trainer<f32> {
        &self.trainer
    }
}

/// Replicas as threads, each of which makes its gradient by copying.
pub(crate) struct Threads(pub(crate) Replicas);

impl Work for Threads {
    fn run(&mut self, times: u64) -> Duration {
        self.0.run_as_threads(times)
    }
}

/// Replicas as threads whose gradients cost nothing to compute: the step alone is timed.
pub(crate) struct Given(Replicas);

impl Given {
    pub(crate) fn new(replicas: usize, parameters: usize) -> Self {
        let mut all = Replicas::new(replicas, parameters).with_buffers();
        // One step that writes its buffers, which are all that there will be.
        all.run_as_threads(1);
        for state in &mut all.states {
            state.gradient = Made::Left;
        }
        Self(all)
    }
}

impl Work for Given {
    fn run(&mut self, times: u64) -> Duration {
        self.0.run_as_threads(times)
    }
}

/// Replicas as tasks on a runtime of two threads.
pub(crate) struct Tasks {
    runtime: Runtime,
    /// Given to the tasks, which give them back.
    states: Vec<State>,
}

impl Tasks {
    pub(crate) fn new(replicas: usize, parameters: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).build();
        let Replicas { states, .. } = Replicas::new(replicas, parameters);
        Self { runtime: runtime.expect("two threads can be started"), states }
    }
}

impl Work for Tasks {
    fn run(&mut self, times: u64) -> Duration {
        let states = std::mem::take(&mut self.states);
        let begun = std::time::Instant::now();
        let work = |mut state: State| async move {
            for _ in 0..times {
                let step = state.replica.next_step_async().await.expect("nobody is overdue");
                let step = step.expect("training goes on");
                state.gradient.push(step);
            }
            state
        };
        let tasks: Vec<_> =
            states.into_iter().map(|state| self.runtime.spawn(work(state))).collect();
        self.states = self.runtime.block_on(async {
            let mut states = Vec::with_capacity(tasks.len());
            for task in tasks {
                states.push(task.await.expect("it does not panic"));
            }
            states
        });
        begun.elapsed()
    }
}
