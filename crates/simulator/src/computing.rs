//! How long a replica computes: a drawn time, and the factors that make it longer.
//!
//! What is drawn for what: the time for each computation, a machine's factor for each replica, a
//! batch's factor for each number of a batch, episodes for each group of replicas. So a replica
//! that dies and comes back is on the same machine, and a batch takes as long as before when any
//! replica computes it again. The invariant: each has its own random numbers, so that a plan with
//! one distribution more draws what it drew before.

use std::time::Duration;

use crate::distribution::{Correlated, Distribution, time};
use crate::episodes::Walks;
use crate::plan::Plan;
use crate::stream::Stream;

/// One replica's computing.
#[derive(Debug)]
pub(crate) struct Computing<'p> {
    plan: &'p Plan,
    draws: Draws<'p>,
    stream: Stream,
    machine: f64,
    episodes: Walks<'p>,
}

#[derive(Debug)]
enum Draws<'p> {
    Independent(&'p Distribution),
    Correlated(Correlated),
}

impl<'p> Computing<'p> {
    pub(crate) fn new(plan: &'p Plan, replica: u64) -> Self {
        let (seed, distribution) = (plan.seed, plan.distribution(replica));
        let draws = match plan.correlation.get() {
            0.0 => Draws::Independent(distribution),
            _ => Draws::Correlated(Correlated::new(distribution, plan.correlation)),
        };
        let machine = plan.machine.as_ref();
        let machine = machine.map(|it| it.draw_factor(&mut Stream::of_machine(seed, replica)));
        Self {
            plan,
            draws,
            stream: Stream::of_replica(seed, replica),
            machine: machine.unwrap_or(1.0),
            episodes: Walks::new(&plan.episodes, seed, replica),
        }
    }

    /// Draws how long a batch takes that is begun `ahead` seconds after `now`; `now` never goes
    /// back.
    pub(crate) fn draw(&mut self, batch: u64, now: f64, ahead: f64) -> Duration {
        let drawn = match &mut self.draws {
            Draws::Independent(distribution) => distribution.draw(&mut self.stream),
            Draws::Correlated(correlated) => correlated.draw(&mut self.stream),
        };
        let mut seconds = drawn * self.machine;
        if let Some(batches) = &self.plan.batch {
            seconds *= batches.draw_factor(&mut Stream::of_batch(self.plan.seed, batch));
        }
        if !self.plan.episodes.is_empty() {
            self.episodes.advance(now);
            seconds = self.episodes.stretched(now + ahead, seconds);
        }
        time(seconds)
    }

    /// Draws how long the gradient is on its way.
    pub(crate) fn draw_wire(&mut self) -> Duration {
        time(self.plan.draw_wire(&mut self.stream))
    }
}

#[cfg(test)]
mod tests;
