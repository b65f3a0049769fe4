//! What the engine was told and what it answered, shown to the invariants.
//!
//! Where each variable is admitted for itself, lanes are called by their variables here.

use cluster::driver::coordinator::{Answer, Observed, Ticket};
use cluster::driver::index::VariableIndex;
use engine::{Admission, Decision, Effect, Expiry, Outcome, Push, Refused, ReplicaId};

use super::Servers;
use crate::happenings::Happening;
use crate::invariants::{Contributor, Fact};
use crate::stage::Stage;

impl Servers {
    /// Shows what has happened in the coordinator since the last call.
    pub(super) fn note_observed(&mut self, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        let observed = leader.coordinator.take_observed();
        if observed.is_empty() {
            return;
        }
        let each = stage.mix.config.settings().admission == Admission::PerVariable;
        for observed in observed {
            self.note_one(observed, each, stage);
        }
        if let Some(leader) = &self.leader {
            stage.check(leader.coordinator.engine());
        }
    }

    fn note_one(&mut self, observed: Observed, each: bool, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        match observed {
            Observed::Started { tokens } => {
                stage.note(&Fact::ChiefStarts { tokens: tokens as u64 });
            }
            Observed::Joined { replica, incarnation } => {
                stage.note(&Fact::Joined { replica, incarnation });
            }
            Observed::Left { replica } => stage.note(&Fact::Left { replica }),
            Observed::GaveUp { replica } => stage.note(&Fact::GaveUp { replica }),
            Observed::Renewed { replica } => stage.note(&Fact::Renewed { replica }),
            Observed::Ticked => stage.note(&Fact::Ticked),
            Observed::Lanes(lanes) if each => {
                leader.lanes = lanes.into_iter().map(VariableIndex::get).collect();
                stage.note(&Fact::Lanes { variables: &leader.lanes });
            }
            Observed::Lanes(_) => {}
            Observed::Decided { push, decision } => {
                let lanes = if each { &leader.lanes[..] } else { &[0] };
                let late = leader.late.remove(&push.replica);
                if late && decision.as_ref().is_ok_and(|it| it.outcome.is_accepted()) {
                    stage.happened(Happening::PushedWithoutToken);
                }
                decided(&push, &decision, lanes, stage);
            }
            Observed::Effect(Effect::Close { lane, count }) => {
                if count > stage.mix.config.replicas_to_aggregate() as u64 {
                    stage.happened(Happening::MoreThanNeeded);
                }
                let lane = if each { leader.lanes[lane] } else { lane };
                stage.note(&Fact::Effect(&Effect::Close { lane, count }));
            }
            Observed::Effect(effect) => {
                if let Effect::Advanced { .. } = effect {
                    let variables = stage.shown.clone();
                    stage.note(&Fact::Updated { variables: &variables });
                }
                stage.note(&Fact::Effect(&effect));
                match effect {
                    Effect::Advanced { .. } => stage.happened(Happening::Steps),
                    Effect::TokenExpired { replica, cause } => {
                        leader.late.insert(replica);
                        stage.happened(match cause {
                            Expiry::Silent => Happening::LeaseExpired,
                            Expiry::TimedOut { .. } => Happening::TimedOut,
                        });
                    }
                    Effect::Grant(grant) => {
                        leader.late.remove(&grant.replica);
                    }
                    Effect::Overdue(_) => stage.happened(Happening::Overdue),
                    _ => {}
                }
            }
        }
    }

    /// Shows the answer to a replica.
    pub(super) fn note_answer(
        &self,
        (replica, ticket): (ReplicaId, Ticket),
        answer: &Answer,
        stage: &mut Stage,
    ) {
        stage.note(&Fact::Answered { replica, ticket, answer });
        let present = self.leader.as_ref().map(|leader| leader.coordinator.generation());
        match answer {
            Answer::Refused(refusal) if refusal.rejoin => {
                stage.happened(if Some(ticket.generation) == present {
                    Happening::RefusedIncarnation
                } else {
                    Happening::RefusedGeneration
                });
            }
            _ => {}
        }
    }
}

fn decided(push: &Push, decision: &Result<Decision, Refused>, lanes: &[usize], stage: &mut Stage) {
    let by_variable = |which: &[usize]| which.iter().map(|&lane| lanes[lane]).collect();
    let named: Vec<usize> = push.lanes.as_deref().map_or_else(|| lanes.to_vec(), by_variable);
    let outcome = decision.as_ref().ok().map(|decision| &decision.outcome);
    let took = match outcome {
        Some(Outcome::Accepted { .. }) => named.clone(),
        Some(Outcome::Partly { accepted }) => by_variable(accepted),
        _ => Vec::new(),
    };
    let gradient = stage.sent.get(&Contributor::of(push)).cloned().unwrap_or_default();
    if let Ok(Decision { outcome, repeated }) = decision {
        stage.happened(match outcome {
            _ if *repeated => Happening::Repeated,
            Outcome::Stale { .. } => Happening::Stale,
            Outcome::Duplicate { .. } => Happening::Duplicates,
            Outcome::Partly { .. } => Happening::Partly,
            _ => Happening::Accepted,
        });
        if *repeated && outcome.is_accepted() {
            stage.happened(Happening::RepeatedAccepted);
        }
    }
    let (named, took, gradient) = (&named[..], &took[..], &gradient[..]);
    stage.note(&Fact::Decided { push, named, took, gradient, decision });
}
