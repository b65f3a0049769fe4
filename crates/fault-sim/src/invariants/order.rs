//! F-3: in a step come all takes, all updates, the step, its tokens, in this order (R-21, S-3).
//!
//! Source: TensorFlow's chief, whose operations depend on each other in this order.

use std::time::Duration;

use engine::Effect;

use super::{Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Open,
    Closed,
    Taken,
    Updated,
}

#[derive(Debug)]
pub(super) struct StepOrder {
    rounds: Vec<Round>,
    step: i64,
}

impl StepOrder {
    pub(super) fn new(mix: &Mix) -> Self {
        Self { rounds: vec![Round::Open; lanes(mix)], step: 0 }
    }

    fn turn(&mut self, lane: usize, from: Round, to: Round) -> Result<(), String> {
        let was = std::mem::replace(&mut self.rounds[lane], to);
        if was == from {
            return Ok(());
        }
        Err(format!("lane {lane} of step {} was {was:?} when it became {to:?}", self.step))
    }
}

impl Invariant for StepOrder {
    fn name(&self) -> &'static str {
        "F-3 all takes, all updates, the step, its tokens"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { global_step, .. } => {
                self.step = global_step.get();
                self.rounds.fill(Round::Open);
            }
            Fact::Effect(&Effect::Close { lane, .. }) => {
                self.turn(lane, Round::Open, Round::Closed)?;
            }
            Fact::Took { lane, .. } => self.turn(lane, Round::Closed, Round::Taken)?,
            Fact::Updated { lane, .. } => self.turn(lane, Round::Taken, Round::Updated)?,
            Fact::Effect(Effect::Advanced { global_step }) => {
                self.step = global_step.get();
                for lane in 0..self.rounds.len() {
                    self.turn(lane, Round::Updated, Round::Open)?;
                }
            }
            Fact::Effect(Effect::Grant(grant)) if grant.local_step.get() > self.step => {
                return Err(format!("at step {} there was {grant:?}", self.step));
            }
            _ => {}
        }
        Ok(())
    }
}
