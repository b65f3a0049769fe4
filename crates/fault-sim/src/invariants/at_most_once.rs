//! F-6: a contribution counts at most once, however often its push comes (P-15, S-6).
//!
//! Source: Birrell and Nelson, "Implementing Remote Procedure Calls", 1984: at most once by the
//! caller's number. The list is kept at the server, so a push whose answer was lost is on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::Outcome;

use super::{Contributor, Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct AtMostOnce {
    /// The fate of every contribution.
    fates: BTreeMap<Contributor, Outcome>,
    /// Whether it was used in a step, by variable of its lane.
    used: BTreeSet<(Contributor, usize, usize)>,
}

impl Invariant for AtMostOnce {
    fn name(&self) -> &'static str {
        "F-6 a contribution counts at most once"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Decided { push, decision: Ok(decision), .. } => {
                let key = Contributor::of(push);
                let known = self.fates.get(&key);
                if !decision.repeated {
                    if let Some(known) = known {
                        return Err(format!("{push:?} was {known:?} and counts again"));
                    }
                    self.fates.insert(key, decision.outcome.clone());
                    return Ok(());
                }
                if known.is_none() {
                    return Err(format!("{push:?} came first and was called a repetition"));
                }
                // Of older ones nobody waits for the answer any more.
                let next = Contributor { sequence: key.sequence + 1, ..key };
                let later = Contributor { sequence: u64::MAX, ..key };
                let last = self.fates.range(next..=later).next().is_none();
                if last && known != Some(&decision.outcome) {
                    return Err(format!("{push:?} was {known:?}, then {:?}", decision.outcome));
                }
            }
            Fact::Took { lane, contributors, .. } => {
                for (variable, by) in contributors.iter().enumerate() {
                    for &contributor in by {
                        if !self.used.insert((contributor, *lane, variable)) {
                            return Err(format!("{contributor:?} is in two means of a variable"));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
