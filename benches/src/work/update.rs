//! The update alone: one gradient applied to one variable.

use std::time::{Duration, Instant};

use ndarray::ArrayD;
use optim::{Optimizer, OptimizerState};

use super::on_pool;
use crate::Work;

/// An optimizer's dense update of one variable.
pub(crate) struct Update {
    state: OptimizerState<f32>,
    variable: ArrayD<f32>,
    gradient: ArrayD<f32>,
}

impl Update {
    pub(crate) fn new(optimizer: impl Optimizer<f32> + 'static, elements: usize) -> Self {
        let state = OptimizerState::new(optimizer).expect("good parameters");
        // On a pool of one thread the two parts follow each other.
        let mut state = state.side_by_side(2, on_pool);
        state.add_variable("w", &[elements]).expect("a new name");
        let filled = |with| ArrayD::from_elem([elements].as_slice(), with);
        Self { state, variable: filled(0.0), gradient: filled(1e-3) }
    }
}

impl Work for Update {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let variable = self.variable.view_mut();
            self.state.apply_dense("w", variable, &self.gradient).expect("it fits");
            self.state.finish_step();
        }
        begun.elapsed()
    }
}
