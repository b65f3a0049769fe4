//! F-10: a variable is what the means of its steps make it.
//!
//! Source: plain gradient descent with learning rate 1, calculated from the pushes alone:
//! `v -= (g1 + ... + gn) / n`. The gradients are whole numbers, so the comparison is exact.

use std::time::Duration;

use engine::Effect;

use super::{Fact, Invariant, elements_of};
use crate::mix::{Mix, ROWS};

#[derive(Debug)]
pub(super) struct Values {
    mix: Mix,
    /// The last whole step, and its elements.
    step: i64,
    elements: Vec<f64>,
    /// Gradients accepted and not yet averaged, by element.
    held: Vec<Vec<f64>>,
    /// Of the lanes that have closed in this step.
    means: Vec<f64>,
}

impl Values {
    pub(super) fn new(mix: &Mix) -> Self {
        let count = mix.variables * ROWS;
        Self {
            mix: mix.clone(),
            step: 0,
            elements: vec![0.0; count],
            held: vec![Vec::new(); count],
            means: vec![0.0; count],
        }
    }

    /// Once all its lanes have closed: an element of the next step.
    fn next(&self, element: usize) -> f64 {
        self.elements[element] - self.means[element]
    }
}

impl Invariant for Values {
    fn name(&self) -> &'static str {
        "F-10 a variable is what the means of its steps make it"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Serves { variables, global_step, .. } => {
                self.step = global_step.get();
                self.elements = variables.to_vec();
                self.means.fill(0.0);
                self.held.iter_mut().for_each(Vec::clear);
            }
            Fact::Decided { took, gradient, decision: Ok(decision), .. } if !decision.repeated => {
                for element in took.iter().flat_map(|&lane| elements_of(lane, &self.mix)) {
                    self.held[element].push(gradient[element]);
                }
            }
            &Fact::Effect(&Effect::Close { lane, .. }) => {
                for element in elements_of(lane, &self.mix) {
                    let held = std::mem::take(&mut self.held[element]);
                    self.means[element] = held.iter().sum::<f64>() / held.len() as f64;
                }
            }
            Fact::Published { server, global_step, elements, .. }
                if global_step.get() == self.step + 1 =>
            {
                for &(element, got) in *elements {
                    let expected = self.next(element);
                    if got != expected {
                        return Err(format!(
                            "server {server} has {got} for element {element} at step \
                             {global_step}, expected {expected}"
                        ));
                    }
                }
            }
            Fact::Updated { variables } => {
                let next: Vec<f64> = (0..self.elements.len()).map(|it| self.next(it)).collect();
                if next != *variables {
                    return Err(format!("expected {next:?}, got {variables:?}"));
                }
                self.elements = next;
                self.step += 1;
                self.means.fill(0.0);
            }
            _ => {}
        }
        Ok(())
    }
}
