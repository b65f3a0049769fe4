//! A push when many replicas are registered.

use std::time::{Duration, Instant};

use ndarray::ArrayD;
use sync_replicas::{Gradients, Replica, ReplicaId};

use super::step::build;
use crate::Work;

/// All replicas hold a step; all but the last push, timed; the last one closes the step, untimed.
pub(crate) struct Registered {
    replicas: Vec<Replica<f32>>,
    gradient: ArrayD<f32>,
}

impl Registered {
    pub(crate) fn new(replicas: u64) -> Self {
        let gradient = ArrayD::from_elem([16].as_slice(), 1e-3);
        let trainer = build(replicas as usize, gradient.len());
        let join = |id| trainer.replica(ReplicaId::new(id)).expect("it is free");
        Self { replicas: (0..replicas).map(join).collect(), gradient }
    }

    /// How many pushes one time is.
    pub(crate) const fn pushes(replicas: u64) -> f64 {
        (replicas - 1) as f64
    }
}

impl Work for Registered {
    fn run(&mut self, times: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let mut ready = Vec::with_capacity(self.replicas.len());
            for replica in &mut self.replicas {
                let step = replica.next_step().expect("nobody is overdue");
                let gradients = Gradients::new().dense("w", self.gradient.clone());
                ready.push((step.expect("training goes on"), gradients));
            }
            let last = ready.pop();
            let begun = Instant::now();
            for (step, gradients) in ready {
                step.push(gradients).expect("it fits");
            }
            spent += begun.elapsed();
            let (step, gradients) = last.expect("there are replicas");
            step.push(gradients).expect("it fits");
        }
        spent
    }
}
