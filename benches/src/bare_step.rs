//! A step of as many tasks as written by hand for one process in which nothing ever goes wrong: one
//! lock, one list of gradients, the last one adds up, updates, and wakes the others.
//!
//! It has no tokens, no names, no checks, no clock, and uses no crate of the project: what is left
//! is what tasks on two threads must do to each other's caches.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::Work;
use crate::ceilings::add;

/// So many tasks on a runtime of two threads.
pub(crate) struct BareStep {
    runtime: Runtime,
    tasks: usize,
    parameters: usize,
}

impl BareStep {
    pub(crate) fn new(tasks: usize, parameters: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).build();
        Self { runtime: runtime.expect("two threads can be started"), tasks, parameters }
    }
}

/// What the tasks share.
struct Meeting {
    round: u64,
    variables: Arc<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    waiting: Vec<Waker>,
}

impl Work for BareStep {
    fn run(&mut self, times: u64) -> Duration {
        let (tasks, parameters) = (self.tasks, self.parameters);
        let meeting = Arc::new(Mutex::new(Meeting {
            round: 0,
            variables: Arc::new(vec![0.0; parameters]),
            gradients: Vec::with_capacity(tasks),
            waiting: Vec::with_capacity(tasks),
        }));
        let begun = Instant::now();
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                let meeting = Arc::clone(&meeting);
                self.runtime.spawn(async move {
                    let made = vec![1e-3; parameters];
                    for now in 0..times {
                        let variables = newest(&meeting, now).await;
                        black_box(&variables);
                        let gradient = made.clone();
                        drop(variables);
                        bring(&meeting, gradient, tasks);
                    }
                })
            })
            .collect();
        self.runtime.block_on(async {
            for task in handles {
                task.await.expect("nobody panics");
            }
        });
        begun.elapsed()
    }
}

/// The variables of this round, once it has begun.
async fn newest(meeting: &Mutex<Meeting>, now: u64) -> Arc<Vec<f32>> {
    poll_fn(|context| {
        let mut here = meeting.lock().expect("nobody panics");
        if here.round == now {
            return Poll::Ready(Arc::clone(&here.variables));
        }
        here.waiting.push(context.waker().clone());
        Poll::Pending
    })
    .await
}

/// Brings a gradient; the last one of a round makes the step.
fn bring(meeting: &Mutex<Meeting>, gradient: Vec<f32>, tasks: usize) {
    let mut here = meeting.lock().expect("nobody panics");
    here.gradients.push(gradient);
    if here.gradients.len() < tasks {
        return;
    }
    let mut gradients = std::mem::replace(&mut here.gradients, Vec::with_capacity(tasks));
    let mut sum = gradients.pop().expect("there is a task");
    for gradient in &gradients {
        add(&mut sum, gradient);
    }
    let rate = 1e-3 / tasks as f32;
    let variables = Arc::get_mut(&mut here.variables).expect("all have let go");
    for (variable, sum) in variables.iter_mut().zip(&sum) {
        *variable -= rate * sum;
    }
    here.round += 1;
    let waiting = std::mem::replace(&mut here.waiting, Vec::with_capacity(tasks));
    drop(here);
    waiting.into_iter().for_each(Waker::wake);
}
