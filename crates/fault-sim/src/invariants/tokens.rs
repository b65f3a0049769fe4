//! F-4: no token appears from nowhere, none vanishes (R-13, R-21, R-24, S-4).
//!
//! Source: docs/semantics.md, the arithmetic of tokens: initial + joined + steps * T were put, and
//! each of them is held, queued, spent by a push, or gone because its step is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Effect, Membership, Outcome, ReplicaId, TokenLedger, TokenPolicy};

use super::lanes::Lanes;
use super::{Fact, Invariant};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Conservation {
    replicas: u64,
    per_step: u64,
    lease: Option<Duration>,
    unknown: bool,
    keep: bool,
    /// The books as they must be; `discarded` is what the others leave.
    books: TokenLedger,
    lanes: Lanes,
    held: BTreeMap<ReplicaId, i64>,
    begun: BTreeSet<ReplicaId>,
    started: Option<Duration>,
    stepped: bool,
}

impl Conservation {
    pub(super) fn new(mix: &Mix) -> Self {
        let settings = mix.config.settings();
        Self {
            replicas: mix.config.total_num_replicas() as u64,
            per_step: mix.config.tokens_per_step() as u64,
            lease: settings.lease,
            unknown: settings.membership == Membership::Unknown,
            keep: settings.token_policy == TokenPolicy::KeepLeftovers,
            books: TokenLedger::default(),
            lanes: Lanes::new(mix),
            held: BTreeMap::new(),
            begun: BTreeSet::new(),
            started: None,
            stepped: false,
        }
    }

    /// A token goes back into the queue (P-5), unless its step is over: it is spent then (P-13).
    fn give_back(&mut self, replica: ReplicaId) {
        if let Some(step) = self.held.remove(&replica)
            && self.lanes.is_over(step)
        {
            self.books.spent += 1;
        }
    }

    /// P-5: the starting tokens of replicas that have not come within a lease go to the others.
    fn replace_absent(&mut self, now: Duration) {
        let end = self.started.zip(self.lease).map(|(started, lease)| started + lease);
        if end.is_some_and(|end| now >= end) {
            let absent = self.replicas - self.begun.len() as u64;
            self.begun.extend((0..self.replicas).map(ReplicaId::new));
            self.books.issued += if self.stepped { 0 } else { absent };
        }
    }

    fn compare(&self, got: TokenLedger, queued: u64) -> Result<(), String> {
        let TokenLedger { issued, spent, discarded, lost } = got;
        let held = self.held.len() as u64;
        let expected = TokenLedger { discarded, ..self.books };
        let kept = !self.keep || discarded == 0;
        if got == expected && kept && issued == spent + discarded + lost + queued + held {
            return Ok(());
        }
        Err(format!("got {got:?}, expected {expected:?}, {queued} queued, {:?} held", self.held))
    }
}

impl Invariant for Conservation {
    fn name(&self) -> &'static str {
        "F-4 tokens are conserved"
    }

    fn observe(&mut self, now: Duration, fact: &Fact<'_>) -> Result<(), String> {
        self.lanes.observe(fact);
        match *fact {
            Fact::Serves { .. } => {
                self.books = TokenLedger::default();
                self.held.clear();
                self.begun.clear();
                (self.started, self.stepped) = (None, false);
            }
            Fact::ChiefStarts { tokens } => {
                self.books.issued += tokens;
                self.started = Some(now);
            }
            Fact::Joined { replica, .. } => {
                let first = self.begun.insert(replica);
                self.books.issued += u64::from(first || self.unknown);
            }
            Fact::Ticked => self.replace_absent(now),
            Fact::Effect(Effect::Ended) => self.started = None,
            Fact::Effect(Effect::Grant(grant)) => {
                let before = self.held.insert(grant.replica, grant.local_step.get());
                if let Some(before) = before {
                    return Err(format!("{grant:?} came to one who holds a token of {before}"));
                }
            }
            Fact::Effect(Effect::Advanced { .. }) => {
                self.books.issued += self.per_step;
                self.stepped = true;
            }
            Fact::Effect(&Effect::TokenExpired { replica, .. }) => self.give_back(replica),
            Fact::GaveUp { replica } => self.give_back(replica),
            Fact::Left { replica } if self.unknown => {
                self.books.lost += u64::from(self.held.remove(&replica).is_some());
            }
            Fact::Left { replica } => self.give_back(replica),
            Fact::Decided { push, decision: Ok(decision), .. } if !decision.repeated => {
                match decision.outcome {
                    Outcome::Duplicate { .. } => self.give_back(push.replica),
                    _ => self.books.spent += u64::from(self.held.remove(&push.replica).is_some()),
                }
            }
            Fact::Books { ledger, queued } => return self.compare(ledger, queued),
            _ => {}
        }
        Ok(())
    }
}
