//! F-6: a contribution counts at most once, however often its push comes (P-15, S-6).
//!
//! Source: Birrell and Nelson, "Implementing Remote Procedure Calls", 1984: at most once by the
//! caller's number. The list is kept at the server, so a push whose answer was lost is on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Effect, Outcome};

use super::{Contributor, Fact, Invariant, lanes};
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct AtMostOnce {
    /// The fate of every contribution.
    fates: BTreeMap<Contributor, Outcome>,
    /// The steps that used it, by server, lane, and part in it.
    used: BTreeSet<(Contributor, usize, usize, usize)>,
    /// By lane: the contributors, and those of the step that has closed.
    open: Vec<BTreeSet<Contributor>>,
    closed: Vec<BTreeSet<Contributor>>,
}

impl AtMostOnce {
    pub(super) fn new(mix: &Mix) -> Self {
        let open = vec![BTreeSet::new(); lanes(mix)];
        let (fates, used) = Default::default();
        Self { fates, used, closed: open.clone(), open }
    }
}

impl Invariant for AtMostOnce {
    fn name(&self) -> &'static str {
        "F-6 a contribution counts at most once"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Serves { .. } => self.open.iter_mut().for_each(BTreeSet::clear),
            Fact::Effect(Effect::Close { lane, .. }) => {
                self.closed[*lane] = std::mem::take(&mut self.open[*lane]);
            }
            Fact::Decided { push, took, decision: Ok(decision), .. } => {
                let key = Contributor::of(push);
                let known = self.fates.get(&key);
                if !decision.repeated {
                    if let Some(known) = known {
                        return Err(format!("{push:?} was {known:?} and counts again"));
                    }
                    self.fates.insert(key, decision.outcome.clone());
                    for &lane in *took {
                        self.open[lane].insert(key);
                    }
                    return Ok(());
                }
                if known.is_none() {
                    return Err(format!("{push:?} came first and was called a repetition"));
                }
                // No replica still waits for the answer to older ones.
                let next = Contributor { sequence: key.sequence + 1, ..key };
                let later = Contributor { sequence: u64::MAX, ..key };
                let last = self.fates.range(next..=later).next().is_none();
                if last && known != Some(&decision.outcome) {
                    return Err(format!("{push:?} was {known:?}, then {:?}", decision.outcome));
                }
            }
            Fact::Took { server, lane, contributors } => {
                for (part, by) in contributors.iter().enumerate() {
                    for &contributor in by {
                        if !self.used.insert((contributor, *server, *lane, part)) {
                            return Err(format!("{contributor:?} is in two means of a part"));
                        }
                        if !self.closed[*lane].contains(&contributor) {
                            return Err(format!("{contributor:?} was not accepted for this step"));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
