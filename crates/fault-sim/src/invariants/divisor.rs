//! F-2: a step closes with A contributions or more, and divides by those it holds (R-3, S-2).
//!
//! Source: TensorFlow's accumulator: a take waits for `num_required` and divides by the
//! count held.

use std::time::Duration;

use engine::{Effect, Outcome};

use super::{Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Divisor {
    needed: u64,
    /// Contributions, by lane.
    held: Vec<u64>,
}

impl Divisor {
    pub(super) fn new(mix: &Mix) -> Self {
        let needed = mix.config.replicas_to_aggregate() as u64;
        Self { needed, held: vec![0; lanes(mix)] }
    }
}

impl Invariant for Divisor {
    fn name(&self) -> &'static str {
        "F-2 the divisor is the contributions held, at least A"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Serves { .. } => self.held.fill(0),
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                let all: Vec<usize> = (0..self.held.len()).collect();
                let took: &[usize] = match &decision.outcome {
                    Outcome::Accepted { .. } => push.lanes.as_ref().unwrap_or(&all),
                    Outcome::Partly { accepted } => accepted,
                    _ => &[],
                };
                took.iter().for_each(|&lane| self.held[lane] += 1);
                if let (&Outcome::Accepted { count }, Some(&last)) =
                    (&decision.outcome, took.last())
                    && count != self.held[last]
                {
                    return Err(format!("{push:?} is number {}, told {count}", self.held[last]));
                }
            }
            &Fact::Effect(&Effect::Close { lane, count }) => {
                let held = std::mem::take(&mut self.held[lane]);
                if count != held || count < self.needed {
                    return Err(format!(
                        "lane {lane} closes with {count} of {}, and {held} contributed",
                        self.needed
                    ));
                }
            }
            Fact::Took { lane, count, contributors } => {
                for by in *contributors {
                    if by.len() as u64 != *count {
                        return Err(format!(
                            "lane {lane} divides by {count} what {} contributed: {by:?}",
                            by.len()
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
