//! F-8: every variable of a step averages the same contributions (P-11).
//!
//! Source: TensorFlow's soft spot, a replica that dies between the pushes of two
//! variables. With per-variable admission it is there, by choice; with all-or-nothing never.

use std::time::Duration;

use engine::{Admission, Outcome};

use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct WholeSteps {
    together: bool,
}

impl WholeSteps {
    pub(super) fn new(mix: &Mix) -> Self {
        Self { together: mix.config.settings().admission == Admission::Together }
    }
}

impl Invariant for WholeSteps {
    fn name(&self) -> &'static str {
        "F-8 all variables of a step average the same contributions"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Took { contributors, .. }
                if self.together && contributors.iter().any(|by| *by != contributors[0]) =>
            {
                return Err(format!("by variable: {contributors:?}"));
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
