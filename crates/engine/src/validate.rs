//! The engine's invariants, as a check that tests make after every event.

use crate::lane::Lane;
use crate::machine::Engine;

impl Engine {
    /// Checks the invariants.
    ///
    /// # Errors
    /// The broken invariant, in words.
    pub fn validate(&self) -> Result<(), String> {
        let outstanding = self.ledger.outstanding();
        let (queued, held) = (self.tokens.len() as u64, self.members.held());
        if outstanding != queued + held {
            return Err(format!(
                "tokens are not conserved: the ledger says {outstanding}, the queue has {queued} \
                 and replicas hold {held}"
            ));
        }
        let served = self.stopped.is_none() && !self.awaits_chief();
        if served && !self.line.is_empty() && !self.tokens.is_empty() {
            return Err(format!("{:?} wait while {queued} tokens lie in the queue", self.line));
        }
        for &replica in &self.line {
            if !self.members.get(replica).is_some_and(|m| m.live && m.waiting && m.held.is_none()) {
                return Err(format!(
                    "{replica} stands in line but is not a live member without token"
                ));
            }
        }
        let needed = self.config.replicas_to_aggregate() as u64;
        let ready = |lane: &Lane| lane.count() >= needed && !lane.is_taken() && !lane.is_applied();
        if self.chief_started && self.stopped.is_none() && self.lanes.iter().any(ready) {
            return Err(format!("a lane holds {needed} gradients or more and is still open"));
        }
        if self.lanes.iter().all(Lane::is_applied) {
            return Err("all lanes are applied but the step has not moved".to_owned());
        }
        Ok(())
    }
}
