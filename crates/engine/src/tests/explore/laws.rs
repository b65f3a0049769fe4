//! What must hold whenever something happens: S-1 to S-7 of the promises, and the hang law.
//!
//! S-1 no stale gradient contributes; S-2 a step closes with what it holds, at least A; S-3
//! updates, then the step, then exactly max(N, A) tokens; S-4 tokens are conserved; S-5 the step
//! moves by one and never back; S-6 a push counts at most once; S-7 a stop tears no update from its
//! count.

use super::key::key;
use super::sometimes::{Hits, Sometimes::*};
use super::world::{Broken, Phase, World};
use super::*;

impl World {
    /// A push arrives. The plain rule says what must become of it; afterwards it may come again.
    pub(super) fn arrive(
        &mut self,
        number: usize,
        at: usize,
        hits: &mut Hits,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Broken> {
        let replica = &mut self.replicas[number];
        let push = replica.pushes.remove(at);
        // Those before it are overtaken: they are repetitions from now on.
        let overtaken: Vec<Push> = replica.pushes.drain(..at).collect();
        let held = self.engine.members.get(push.replica).and_then(|member| member.held);
        let member = self.engine.members.get(push.replica).is_some_and(|member| member.live);
        let decided = self.engine.push(&push, self.now, effects);
        if !member {
            // Its death was noticed meanwhile.
            hits.hit(EarlierLife, 1);
            return match decided {
                Err(Refused::NotJoined { .. }) => Ok(()),
                other => Err(format!("a leaver's push was not refused: {other:?}")),
            };
        }
        let decision = decided.map_err(|refused| format!("a member was refused: {refused}"))?;
        if decision.repeated {
            return Err("S-6: a push that came for the first time was taken for another".into());
        }
        let lanes = push.lanes.clone().unwrap_or((0..self.lanes.len()).collect());
        let mut accepted = 0;
        for &lane in &lanes {
            let (step, count) = &mut self.lanes[lane];
            if push.local_step.get() >= *step {
                *count += 1;
                accepted += 1;
            }
        }
        let expected = (accepted > 0, accepted == lanes.len());
        let got = match decision.outcome {
            Outcome::Accepted { .. } => (true, true),
            Outcome::Partly { .. } => (true, false),
            _ => (false, false),
        };
        if expected != got {
            return Err(format!("S-1: {accepted} of {} lanes, but {decision:?}", lanes.len()));
        }
        let in_hand = held.is_some_and(|held| held.token.step() == push.local_step.get());
        hits.hit(StaleDrop, u64::from(accepted == 0));
        hits.hit(BackupDrop, u64::from(accepted == 0 && in_hand));
        hits.hit(Unleased, u64::from(accepted > 0 && held.is_none()));
        let half = accepted > 0 && accepted < self.lanes.len();
        hits.hit(Partly, u64::from(half));
        // The other variables miss what a dead one did not send, as if its token had been lost.
        self.lost += u64::from(half && push.lanes.is_some() && !self.has_leases());
        self.replicas[number].arrived = Some(push);
        for push in overtaken {
            self.changes_nothing(&push, true)?;
        }
        Ok(())
    }

    /// S-6: what has arrived may arrive again at any time, and what an earlier life sent too.
    pub(super) fn repetitions(&self, hits: &mut Hits) -> Result<(), Broken> {
        for replica in &self.replicas {
            let live = self.engine.members.get(replica.id).is_some_and(|member| member.live);
            if let Some(push) = &replica.arrived {
                self.changes_nothing(push, live)?;
                hits.hit(if live { Repeated } else { EarlierLife }, 1);
            }
            if let Some(push) = &replica.earlier {
                self.changes_nothing(push, false)?;
                hits.hit(EarlierLife, 1);
            }
        }
        Ok(())
    }

    /// S-7: a stop may come at any moment, and updates under way are made after it: the step moves
    /// exactly when all its lanes are updated, and no replica is given anything afterwards.
    pub(super) fn stops(&self, hits: &mut Hits) -> Result<(), Broken> {
        let mut ended = self.clone();
        let step = ended.engine.global_step().get();
        let whole = ended.engine.is_updating();
        let mut effects = Vec::new();
        ended.engine.stop(StopReason::Requested("enough".to_owned()), &mut effects);
        for lane in std::mem::take(&mut ended.due) {
            ended.engine.applied(lane, self.now, &mut effects);
        }
        let moved = ended.engine.global_step().get() - step;
        let told = effects.iter().filter(|it| matches!(it, Effect::Advanced { .. })).count();
        if moved != i64::from(whole) || told != usize::from(whole) || effects.len() != 1 + told {
            return Err(format!("S-7: stopped, the update made, and it went on: {effects:?}"));
        }
        hits.hit(StoppedInUpdate, u64::from(whole));
        ended.engine.validate()
    }

    fn changes_nothing(&self, push: &Push, member: bool) -> Result<(), Broken> {
        let mut again = self.clone();
        let mut effects = Vec::new();
        let decided = again.engine.push(push, self.now, &mut effects);
        let as_expected = match &decided {
            Ok(decision) => member && decision.repeated,
            Err(refused) => !member && matches!(refused, Refused::NotJoined { .. }),
        };
        if as_expected && effects.is_empty() && key(&again) == key(self) {
            return Ok(());
        }
        Err(format!("S-6: {push:?} came again, and the answer is {decided:?}, {effects:?}"))
    }

    /// Carries out what the engine answered, and holds it to the laws.
    pub(super) fn follow(
        &mut self,
        before: TokenLedger,
        step: GlobalStep,
        effects: Vec<Effect>,
        hits: &mut Hits,
    ) -> Result<(), Broken> {
        let needed = self.engine.config().replicas_to_aggregate() as u64;
        let per_step = self.engine.config().tokens_per_step() as u64;
        let mut moved = false;
        for effect in effects {
            match effect {
                Effect::Close { lane, count } => {
                    let (of, held) = &mut self.lanes[lane];
                    if count != *held || count < needed {
                        return Err(format!("S-2: closed with {count}, {held} held of {needed}"));
                    }
                    (*of, *held) = (*of + 1, 0);
                    self.due.push(lane);
                }
                Effect::Advanced { global_step } => {
                    if moved || global_step.get() != step.get() + 1 {
                        return Err(format!("S-5: from {step} to {global_step}"));
                    }
                    if self.lanes.iter().any(|&(of, _)| of != global_step.get())
                        || !self.due.is_empty()
                    {
                        return Err("S-3: the step moved before all lanes were applied".into());
                    }
                    moved = true;
                    self.issued += per_step;
                    (self.of_step, self.lost) = (per_step, 0);
                }
                Effect::Grant(grant) => {
                    if grant.local_step.get() > step.get() && !moved {
                        return Err(format!("S-3: a token before its step: {grant:?}"));
                    }
                    self.grant(&grant);
                }
                Effect::TokenExpired { .. } | Effect::Superseded { .. } => {}
                other => return Err(format!("nobody asked for {other:?}")),
            }
        }
        let after = self.engine.ledger();
        hits.hit(Discarded, after.discarded - before.discarded);
        if after.issued != self.issued {
            return Err(format!("S-4: {} tokens were due, {} put", self.issued, after.issued));
        }
        let now = self.engine.global_step().get();
        if now != step.get() + i64::from(moved) {
            return Err(format!("S-5: from {step} to {now} without a word"));
        }
        for (lane, &(_, held)) in self.lanes.iter().enumerate() {
            if self.engine.num_accumulated(lane) != Some(held) {
                return Err(format!("S-6: lane {lane} was pushed {held} gradients: {after:?}"));
            }
        }
        Ok(())
    }

    /// The hang law: without leases the step stands for good iff more of its tokens are in dead
    /// hands than it has beyond A. With leases never.
    pub(super) fn must_hang(&self) -> bool {
        if self.has_leases() {
            return false;
        }
        let current = self.engine.global_step().get();
        let dead = self.replicas.iter().filter(|replica| {
            let member = self.engine.members.get(replica.id);
            let held = member.and_then(|member| member.held);
            replica.phase == Phase::Dead
                && replica.pushes.is_empty()
                && held.is_some_and(|held| held.token.step() == current)
        });
        let gone = self.lost + dead.count() as u64;
        gone + self.engine.config().replicas_to_aggregate() as u64 > self.of_step
    }
}
