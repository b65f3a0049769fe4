//! F-3: in a step come all takes, all updates, the step, its tokens, in this order (R-21, S-3).
//!
//! Source: TensorFlow's chief, whose operations depend on each other in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::Effect;

use super::{Fact, Invariant};
use crate::mix::Mix;

/// How far a lane's round is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Round {
    Open,
    /// These servers have taken its gradients, and updated their parts.
    Closed(BTreeSet<usize>),
    /// It came when all others were closed, and has no part in this step.
    Apart,
}

#[derive(Debug)]
pub(super) struct StepOrder {
    servers: usize,
    rounds: BTreeMap<usize, Round>,
    step: i64,
}

impl StepOrder {
    pub(super) fn new(mix: &Mix) -> Self {
        let together = mix.config.settings().admission == engine::Admission::Together;
        let rounds = together.then_some((0, Round::Open)).into_iter().collect();
        Self { servers: mix.servers, rounds, step: 0 }
    }

    fn is_updated(&self, round: &Round) -> bool {
        match round {
            Round::Open => false,
            Round::Closed(by) => by.len() == self.servers,
            Round::Apart => true,
        }
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
                self.rounds.values_mut().for_each(|round| *round = Round::Open);
            }
            Fact::Lanes { variables } => {
                let open = self.rounds.is_empty()
                    || self.rounds.values().any(|round| *round == Round::Open);
                let new = if open { Round::Open } else { Round::Apart };
                let round = |lane| self.rounds.get(lane).unwrap_or(&new).clone();
                self.rounds = variables.iter().map(|lane| (*lane, round(lane))).collect();
            }
            Fact::Effect(&Effect::Close { lane, .. }) => {
                let was = self.rounds.insert(lane, Round::Closed(BTreeSet::new()));
                if was != Some(Round::Open) {
                    return Err(format!("lane {lane} of step {} closed, {was:?}", self.step));
                }
            }
            Fact::Took { server, lane, .. } => {
                let round = self.rounds.get_mut(&lane);
                let took = match round {
                    Some(Round::Closed(by)) => by.insert(server),
                    _ => false,
                };
                if !took {
                    let (step, rounds) = (self.step, &self.rounds);
                    return Err(format!("server {server} took {lane} of step {step}: {rounds:?}"));
                }
            }
            Fact::Effect(Effect::Advanced { global_step }) => {
                if !self.rounds.values().all(|round| self.is_updated(round)) {
                    return Err(format!("{global_step} came, and {:?}", self.rounds));
                }
                self.step = global_step.get();
                self.rounds.values_mut().for_each(|round| *round = Round::Open);
            }
            Fact::Effect(Effect::Grant(grant)) if grant.local_step.get() > self.step => {
                return Err(format!("at step {} there was {grant:?}", self.step));
            }
            _ => {}
        }
        Ok(())
    }
}
