//! F-12: in replica order the variables depend on the step alone, whatever went wrong (P-14).
//!
//! Source: the reduction in rank order of deterministic all-reduce: share r of step s has the same
//! batch, on any replica. The ideal run is calculated without any replica.

use std::time::Duration;

use engine::{Effect, SummationOrder};

use super::{Fact, Invariant, gradient};
use crate::mix::{Mix, ROWS};

#[derive(Debug)]
pub(super) struct ReplicaOrder {
    on: bool,
    aggregate: u64,
    /// The variables of each step.
    ideal: Vec<Vec<f64>>,
    updated: Vec<f64>,
}

impl ReplicaOrder {
    pub(super) fn new(mix: &Mix) -> Self {
        let on = mix.config.settings().order == SummationOrder::Replica;
        let aggregate = mix.config.replicas_to_aggregate() as u64;
        let start = vec![0.0; mix.variables * ROWS];
        Self { on, aggregate, ideal: vec![start.clone()], updated: start }
    }

    fn at(&mut self, step: usize) -> &[f64] {
        while self.ideal.len() <= step {
            let before = self.ideal.len() - 1;
            let first = before as u64 * self.aggregate;
            let next = self.ideal[before].iter().enumerate().map(|(element, value)| {
                let shares = first..first + self.aggregate;
                let sum: f64 = shares.map(|batch| gradient(batch, element)).sum();
                value - sum / self.aggregate as f64
            });
            let next = next.collect();
            self.ideal.push(next);
        }
        &self.ideal[step]
    }
}

impl Invariant for ReplicaOrder {
    fn name(&self) -> &'static str {
        "F-12 in replica order a run is that of an ideal world"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            _ if !self.on => {}
            Fact::Updated { variables } => self.updated = variables.to_vec(),
            Fact::Effect(Effect::Advanced { global_step }) => {
                let step = usize::try_from(global_step.get()).map_err(|error| error.to_string())?;
                let updated = std::mem::take(&mut self.updated);
                let ideal = self.at(step);
                if updated != ideal {
                    return Err(format!("step {step}: expected {ideal:?}, got {updated:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
