//! F-8: every variable of a step averages the same contributions (P-11).
//!
//! Source: TensorFlow's soft spot, a replica that dies between the pushes of two
//! variables. With per-variable admission it is there, by choice; with all-or-nothing never.

use std::time::Duration;

use engine::{Admission, Effect, Outcome};

use super::{Contributor, Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct WholeSteps {
    together: bool,
    /// Those of the first server that took them.
    first: Option<Vec<Contributor>>,
}

impl WholeSteps {
    pub(super) fn new(mix: &Mix) -> Self {
        let together = mix.config.settings().admission == Admission::Together;
        Self { together, first: None }
    }
}

impl Invariant for WholeSteps {
    fn name(&self) -> &'static str {
        "F-8 all variables of a step average the same contributions"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Effect(Effect::Close { .. }) => self.first = None,
            Fact::Took { server, contributors, .. } if self.together => {
                for by in *contributors {
                    let first = self.first.get_or_insert_with(|| by.clone());
                    if by != first {
                        return Err(format!("server {server}: {by:?}, and elsewhere {first:?}"));
                    }
                }
            }
            Fact::Decided { push, decision: Ok(decision), .. } if self.together => {
                if matches!(decision.outcome, Outcome::Partly { .. }) {
                    return Err(format!("{push:?} was taken in part: {:?}", decision.outcome));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
