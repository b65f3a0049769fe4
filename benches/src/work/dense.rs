//! Dense gradients of one variable: pushed, taken, and applied.

use std::hint::black_box;
use std::time::{Duration, Instant};

use accum_core::{
    BufferPool, ConditionalAccumulator, DenseAccumulator, DenseOptions, Reduction, SumReader,
    Summation,
};
use ndarray::{Array1, ArrayD};
use optim::{DenseGradient, OptimizerState, Sgd};

use super::on_pool;
use crate::{Work, together};

fn with_summation(elements: usize, summation: Summation) -> DenseAccumulator<f32> {
    let options = DenseOptions { summation, ..DenseOptions::default() };
    DenseAccumulator::with_options([elements], Reduction::Mean, options)
}

/// Every thread pushes its gradient once to one shared accumulator, which adds at once.
pub(crate) struct Push {
    accumulator: ConditionalAccumulator<f32>,
    gradients: Vec<Array1<f32>>,
}

impl Push {
    pub(crate) fn new(elements: usize, threads: usize) -> Self {
        let accumulator: ConditionalAccumulator<f32> =
            with_summation(elements, Summation::Eager).into();
        // The first of a cycle becomes the sum; the row is about those that are added to it.
        let first = accumulator.apply_grad(Array1::zeros(elements), 0);
        assert!(first.is_ok_and(|first| first.is_accepted()));
        Self { accumulator, gradients: vec![Array1::from_elem(elements, 1e-3); threads] }
    }
}

impl Work for Push {
    fn run(&mut self, times: u64) -> Duration {
        let accumulator = &self.accumulator;
        together(&mut self.gradients, |gradient| {
            for _ in 0..times {
                black_box(accumulator.apply_grad(&*gradient, 0)).expect("it fits");
            }
        })
    }
}

/// N gradients pushed to a shared accumulator, their mean taken.
pub(crate) struct PushesAndTake {
    accumulator: ConditionalAccumulator<f32>,
    gradients: Vec<Array1<f32>>,
}

impl PushesAndTake {
    pub(crate) fn new(elements: usize, replicas: usize) -> Self {
        let accumulator = ConditionalAccumulator::new([elements], Reduction::Mean);
        Self { accumulator, gradients: vec![Array1::from_elem(elements, 1e-3); replicas] }
    }
}

impl Work for PushesAndTake {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let step = self.accumulator.global_step();
            for gradient in &self.gradients {
                let applied = self.accumulator.apply_grad(gradient, step);
                black_box(applied).expect("it fits");
            }
            let taken = self.accumulator.try_take_grad(self.gradients.len() as i64);
            black_box(taken.expect("it can be taken").expect("enough are held"));
        }
        begun.elapsed()
    }
}

/// N gradients in a pool's buffers pushed to a shared accumulator and held, their mean taken.
pub(crate) struct HeldAndTaken {
    accumulator: ConditionalAccumulator<f32>,
    pool: BufferPool<f32>,
    elements: usize,
    replicas: usize,
}

impl HeldAndTaken {
    pub(crate) fn new(elements: usize, replicas: usize) -> Self {
        let pool = BufferPool::new(replicas);
        for _ in 0..replicas {
            pool.give(ArrayD::from_elem([elements].as_slice(), 1e-3));
        }
        let accumulator = with_summation(elements, Summation::Held).into();
        Self { accumulator, pool, elements, replicas }
    }
}

impl Work for HeldAndTaken {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let step = self.accumulator.global_step();
            for _ in 0..self.replicas {
                let gradient = self.pool.lend(&[self.elements]);
                black_box(self.accumulator.apply_grad(gradient, step)).expect("it fits");
            }
            let taken = self.accumulator.try_take_grad(self.replicas as i64);
            let taken = taken.expect("it can be taken").expect("enough are held");
            // It is in the first gradient's buffer, which the pool lacks.
            self.pool.give(black_box(taken.value));
        }
        begun.elapsed()
    }
}

/// N gradients from a pool's buffers pushed, held, and applied as their mean.
pub(crate) struct MeanAndUpdate {
    accumulator: DenseAccumulator<f32>,
    pool: BufferPool<f32>,
    optimizer: OptimizerState<f32>,
    variable: ArrayD<f32>,
    replicas: usize,
}

impl MeanAndUpdate {
    pub(crate) fn new(elements: usize, replicas: usize) -> Self {
        let optimizer = OptimizerState::new(Sgd::new(1e-3)).expect("a good rate");
        let mut optimizer = optimizer.side_by_side(2, on_pool);
        optimizer.add_variable("w", &[elements]).expect("a new name");
        let pool = BufferPool::new(replicas);
        for _ in 0..replicas {
            pool.give(ArrayD::from_elem([elements].as_slice(), 1e-3));
        }
        let accumulator = with_summation(elements, Summation::Held);
        let variable = ArrayD::zeros([elements].as_slice());
        Self { accumulator, pool, optimizer, variable, replicas }
    }
}

impl Work for MeanAndUpdate {
    fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let step = self.accumulator.global_step();
            for _ in 0..self.replicas {
                let gradient = self.pool.lend(self.variable.shape());
                self.accumulator.apply(gradient, step).expect("it fits");
            }
            let taken = self.accumulator.try_take(self.replicas as i64);
            let mut sum = taken.expect("positive").expect("enough are held");
            let mean = Averaged(sum.reader());
            let variable = self.variable.view_mut();
            self.optimizer.apply_dense("w", variable, &mean).expect("it fits");
            self.optimizer.finish_step();
        }
        begun.elapsed()
    }
}

/// A taken sum as the optimizer reads it.
struct Averaged<'a>(SumReader<'a, f32>);

impl DenseGradient<f32> for Averaged<'_> {
    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn read(&self, start: usize, tile: &mut [f32]) {
        self.0.read(start, tile);
    }

    fn lend(&self) -> Option<&[f32]> {
        self.0.lend()
    }
}

/// What of a cycle of two pushes and a take is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first push, of a gradient that is given away.
    FirstPush,
    /// The take of the sum and of what it is to be divided by.
    Take,
}

/// Two gradients of one cycle, the first given away; what is taken is the next cycle's first.
pub(crate) struct Cycle {
    part: Part,
    accumulator: DenseAccumulator<f32>,
    first: ArrayD<f32>,
    second: ArrayD<f32>,
}

impl Cycle {
    pub(crate) fn new(elements: usize, part: Part) -> Self {
        let array = ArrayD::from_elem([elements].as_slice(), 1e-3);
        let accumulator = with_summation(elements, Summation::Eager);
        Self { part, accumulator, first: array.clone(), second: array }
    }
}

impl Work for Cycle {
    fn run(&mut self, times: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let step = self.accumulator.global_step();
            let first = std::mem::take(&mut self.first);
            let begun = Instant::now();
            self.accumulator.apply(first, step).expect("it fits");
            if self.part == Part::FirstPush {
                spent += begun.elapsed();
            }
            self.accumulator.apply(&self.second, step).expect("it fits");
            let begun = Instant::now();
            let taken = self.accumulator.try_take(2).expect("positive").expect("two are held");
            let (sum, divisor) = taken.into_sum();
            black_box(divisor);
            if self.part == Part::Take {
                spent += begun.elapsed();
            }
            self.first = sum;
        }
        spent
    }
}
