//! F-10: a variable is what the means of its steps make it.
//!
//! Source: plain gradient descent with learning rate 1, calculated from the pushes alone:
//! `v -= (g1 + ... + gn) / n`. The gradients are whole numbers, so the comparison is exact.

use std::time::Duration;

use engine::{Effect, Outcome};

use super::{Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Values {
    lanes: usize,
    variables: Vec<f64>,
    /// Gradients accepted and not yet averaged, by variable.
    held: Vec<Vec<f64>>,
    means: Vec<f64>,
}

impl Values {
    pub(super) fn new(mix: &Mix) -> Self {
        let variables = mix.variables;
        Self {
            lanes: lanes(mix),
            variables: vec![0.0; variables],
            held: vec![Vec::new(); variables],
            means: vec![0.0; variables],
        }
    }

    fn of_lane(&self, lane: usize) -> std::ops::Range<usize> {
        if self.lanes == 1 { 0..self.variables.len() } else { lane..lane + 1 }
    }
}

impl Invariant for Values {
    fn name(&self) -> &'static str {
        "F-10 a variable is what the means of its steps make it"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Serves { variables, .. } => {
                self.variables = variables.to_vec();
                self.held.iter_mut().for_each(Vec::clear);
            }
            Fact::Decided { push, gradient, decision: Ok(decision) } if !decision.repeated => {
                let all: Vec<usize> = (0..self.lanes).collect();
                let took: &[usize] = match &decision.outcome {
                    Outcome::Accepted { .. } => push.lanes.as_ref().unwrap_or(&all),
                    Outcome::Partly { accepted } => accepted,
                    _ => &[],
                };
                for &lane in took {
                    for variable in self.of_lane(lane) {
                        self.held[variable].push(gradient[variable]);
                    }
                }
            }
            &Fact::Effect(&Effect::Close { lane, .. }) => {
                for variable in self.of_lane(lane) {
                    let held = std::mem::take(&mut self.held[variable]);
                    self.means[variable] = held.iter().sum::<f64>() / held.len() as f64;
                }
            }
            &Fact::Updated { lane, variables } => {
                for variable in self.of_lane(lane) {
                    self.variables[variable] -= self.means[variable];
                }
                if self.variables != variables {
                    return Err(format!("expected {:?}, got {variables:?}", self.variables));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
