//! F-5: the global step counts up by ones, and after a crash it is the checkpoint's (R-21, S-5).
//!
//! Source: the promise of checkpoint and restart, as Horovod Elastic and TensorFlow give
//! it: at most the steps since the last checkpoint are lost.

use std::time::Duration;

use engine::Effect;

use super::{Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct Monotone {
    step: i64,
    saved: i64,
}

impl Invariant for Monotone {
    fn name(&self) -> &'static str {
        "F-5 the global step only grows, and a crash goes back to the checkpoint at most"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Serves { global_step, .. } => {
                self.step = global_step.get();
                if self.step != self.saved {
                    return Err(format!("serves step {}, saved was {}", self.step, self.saved));
                }
            }
            Fact::Effect(Effect::Advanced { global_step }) => {
                if global_step.get() != self.step + 1 {
                    return Err(format!("the step went from {} to {global_step}", self.step));
                }
                self.step += 1;
            }
            Fact::Saved { global_step, .. } => {
                let before = std::mem::replace(&mut self.saved, global_step.get());
                if self.saved < before || self.saved > self.step {
                    return Err(format!(
                        "step {global_step} was saved at step {}, and before that {before}",
                        self.step
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
