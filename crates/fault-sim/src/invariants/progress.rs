//! F-15: once faults stop, the step advances and every live replica makes progress, within a stated
//! time (P-5, L-1, L-2).
//!
//! Source: the hang law, docs/semantics.md: with leases never; without, training stops for good
//! exactly if so many tokens of one step died with their holders that fewer than A are left.

use std::collections::BTreeMap;

use engine::{Effect, Membership, ReplicaId, StepTimeout};

use super::{Fact, lanes};
use crate::mix::Mix;

pub(crate) const NAME: &str =
    "F-15 once faults stop, the step advances and every live replica makes progress";

/// The books of the present step's tokens: how many gradients it can still get.
#[derive(Debug)]
pub(crate) struct HangLaw {
    leased: bool,
    /// Whether the tokens of the dead come back.
    returned: bool,
    unknown: bool,
    needed: u64,
    step: i64,
    /// All tokens issued (F-4 counts them too), and those issued before the present step's.
    issued: u64,
    earlier: u64,
    /// Tokens of the present step that were lost.
    lost: u64,
    /// Tokens spent without a gradient for the lane.
    spent_elsewhere: Vec<u64>,
    closed: Vec<bool>,
    /// The lanes.
    lanes: Vec<usize>,
    held: BTreeMap<ReplicaId, i64>,
}

impl HangLaw {
    pub(super) fn new(mix: &Mix) -> Self {
        let settings = mix.config.settings();
        Self {
            leased: settings.lease.is_some(),
            returned: settings.lease.is_some()
                || matches!(settings.step_timeout, StepTimeout::After(_)),
            unknown: settings.membership == Membership::Unknown,
            needed: mix.config.replicas_to_aggregate() as u64,
            step: 0,
            issued: 0,
            earlier: 0,
            lost: 0,
            spent_elsewhere: vec![0; lanes(mix)],
            closed: vec![false; lanes(mix)],
            lanes: if lanes(mix) == 1 { vec![0] } else { Vec::new() },
            held: BTreeMap::new(),
        }
    }

    /// Whether the law lets this run stop, given which replicas hold a useless token: the dead.
    ///
    /// Per variable there is a second way to stop, which no lease mends: replicas that pushed some
    /// variables only have spent tokens that the others needed.
    pub(crate) fn allows_a_hang(&self, is_dead: impl Fn(ReplicaId) -> bool) -> bool {
        let buried =
            self.held.iter().filter(|&(&replica, &step)| step == self.step && is_dead(replica));
        let issued = self.issued - self.earlier;
        let buried = if self.returned { 0 } else { buried.count() as u64 };
        let left = issued.saturating_sub(self.lost + buried);
        self.lanes.iter().any(|&lane| {
            let (closed, elsewhere) = (self.closed[lane], self.spent_elsewhere[lane]);
            let short = !closed && left.saturating_sub(elsewhere) < self.needed;
            short && (!self.leased || elsewhere > 0)
        })
    }

    pub(super) fn observe(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Serves { global_step, .. } => {
                (self.issued, self.earlier) = (0, 0);
                self.begin(global_step.get());
                self.held.clear();
            }
            Fact::Books { ledger, .. } => self.issued = ledger.issued,
            Fact::Effect(Effect::Grant(grant)) => {
                self.held.insert(grant.replica, grant.local_step.get());
            }
            Fact::Effect(&Effect::Close { lane, .. }) => self.closed[lane] = true,
            Fact::Effect(Effect::Advanced { global_step }) => {
                // The books still are those from before the event.
                self.earlier = self.issued;
                self.begin(global_step.get());
            }
            Fact::Left { replica } => {
                let lost = self.held.remove(&replica) == Some(self.step) && self.unknown;
                self.lost += u64::from(lost);
            }
            Fact::GaveUp { replica } => {
                self.held.remove(&replica);
            }
            Fact::Lanes { variables } => self.lanes = variables.to_vec(),
            Fact::Decided { push, named, decision: Ok(decision), .. } if !decision.repeated => {
                let spent = self.held.remove(&push.replica);
                if spent == Some(self.step) {
                    self.spend(named);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, step: i64) {
        (self.step, self.lost) = (step, 0);
        self.spent_elsewhere.fill(0);
        self.closed.fill(false);
    }

    /// Only a push that left a lane out takes anything from it: all others spend what they count
    /// for, or their token goes back.
    fn spend(&mut self, named: &[usize]) {
        for (lane, elsewhere) in self.spent_elsewhere.iter_mut().enumerate() {
            *elsewhere += u64::from(!named.contains(&lane));
        }
    }
}
