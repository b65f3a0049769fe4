//! F-11: a checkpoint is one step, whole, and a restore takes the last one saved (P-9, S-7).
//!
//! Source: Abadi et al., "TensorFlow", OSDI 2016, section 4.3, whose checkpoints during a step may
//! hold none, some or all of it; this project promises all or nothing (P-11).

use std::time::Duration;

use engine::Effect;

use super::{Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// The variables of each step of this generation since the last checkpoint.
    steps: Vec<(i64, Vec<f64>)>,
    updated: Vec<f64>,
    saved: Option<(i64, Vec<f64>)>,
}

impl Invariant for Checkpoints {
    fn name(&self) -> &'static str {
        "F-11 a checkpoint is one step, whole, and the last one is restored"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { global_step, variables, .. } => {
                let serves = (global_step.get(), variables.to_vec());
                if self.saved.as_ref().is_some_and(|saved| *saved != serves) {
                    return Err(format!("{serves:?} after {:?} was saved", self.saved));
                }
                self.steps = vec![serves];
            }
            Fact::Updated { variables } => self.updated = variables.to_vec(),
            Fact::Effect(Effect::Advanced { global_step }) => {
                self.steps.push((global_step.get(), self.updated.clone()));
            }
            Fact::Saved { global_step, variables } => {
                let saved = (global_step.get(), variables.to_vec());
                if !self.steps.contains(&saved) {
                    return Err(format!("{saved:?} was never the state of a step"));
                }
                self.steps.retain(|(step, _)| *step >= saved.0);
                self.saved = Some(saved);
            }
            _ => {}
        }
        Ok(())
    }
}
