//! F-9: nothing of an earlier generation or incarnation changes the present one (P-9).
//!
//! Source: fencing tokens, as in Gray and Cheriton, "Leases", 1989, and in every epoch of a view
//! since: a replaced process must be refused, however late its message comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::driver::coordinator::{Answer, Ticket};
use engine::{Generation, Incarnation, Refused, ReplicaId};

use super::{Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct Fencing {
    generation: Generation,
    /// The members: joined and not left.
    live: BTreeMap<ReplicaId, Incarnation>,
    /// The last incarnation of each, in this generation.
    last: BTreeMap<ReplicaId, Incarnation>,
    /// The process that has the place of each, and the last connection of it.
    places: BTreeMap<ReplicaId, (u64, u64)>,
    /// Processes that had a place before another.
    replaced: BTreeSet<u64>,
}

impl Fencing {
    fn is_present(&self, replica: ReplicaId, ticket: Ticket) -> bool {
        ticket.generation == self.generation && self.live.get(&replica) == Some(&ticket.incarnation)
    }
}

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "F-9 an earlier life is fenced off"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Serves { generation, .. } => {
                let before = std::mem::replace(&mut self.generation, generation);
                (self.live, self.last, self.places, self.replaced) = Default::default();
                if generation <= before {
                    return Err(format!("{generation} came after {before}"));
                }
            }
            Fact::Joined { replica, incarnation } => {
                self.live.insert(replica, incarnation);
                let before = self.last.insert(replica, incarnation);
                if before.is_some_and(|before| before >= incarnation) {
                    return Err(format!("{incarnation} of {replica} came after {before:?}"));
                }
            }
            Fact::Welcomed { replica, process, connection } => {
                let before = self.places.insert(replica, (process, connection));
                if let Some((other, _)) = before.filter(|(before, _)| *before != process) {
                    self.replaced.insert(other);
                }
                let earlier = before.is_some_and(|it| it.0 == process && it.1 >= connection);
                if earlier || self.replaced.contains(&process) {
                    let place = (process, connection);
                    return Err(format!("{place:?} of {replica} came after {before:?}"));
                }
            }
            Fact::Left { replica } => {
                self.live.remove(&replica);
            }
            Fact::Decided { push, decision, .. } => {
                let ticket = Ticket { generation: push.generation, incarnation: push.incarnation };
                let present = self.is_present(push.replica, ticket);
                let refused =
                    matches!(decision, Err(Refused::Generation { .. } | Refused::NotJoined { .. }));
                if present == refused && *decision != Err(Refused::Ended) {
                    return Err(format!("in {}: {push:?} became {decision:?}", self.generation));
                }
            }
            Fact::Answered { replica, ticket, answer } => {
                let fenced = match answer {
                    Answer::Refused(refusal) => refusal.rejoin,
                    // It may be told once it is gone.
                    Answer::Left => return Ok(()),
                    _ => false,
                };
                if fenced == self.is_present(replica, ticket) {
                    let generation = self.generation;
                    return Err(format!("in {generation}: {replica}, {ticket:?} got {answer:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
