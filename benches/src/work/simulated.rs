//! A run in virtual time: the engine, a hundred replicas with a heavy tail, thousands of steps.

use std::time::{Duration, Instant};

use simulator::{Plan, plans, simulate};

use crate::Work;

/// 96 of 100, after the times of the paper's machines.
pub(crate) struct Simulated(Plan);

impl Simulated {
    pub(crate) fn new(steps: u64) -> Self {
        let carried = plans::carried("chen-2016").expect("it is carried");
        let plan = Plan::read(carried.text).expect("it is a plan");
        Self(Plan { steps, ..plan })
    }
}

impl Work for Simulated {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            std::hint::black_box(simulate(&self.0));
        }
        begun.elapsed()
    }
}
