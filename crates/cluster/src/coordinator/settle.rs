//! The engine's effects, turned into orders and answers, in their order.

use hooks::NanLoss;
use sync_replicas::engine::{Effect, Expiry};
use sync_replicas::{GlobalStep, ReplicaId};

use super::{Answer, Coordinator, Observed, ShardCommand};

impl Coordinator {
    pub(super) fn settle(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            self.observations.note(|| Observed::Effect(effect.clone()));
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Grant(grant) => {
                let replica = grant.replica;
                let generation = self.engine.generation();
                if let Some(record) = self.records.get_mut(replica.get() as usize) {
                    (record.grant, record.granted) = (Some(grant.clone()), self.now);
                    record.timed_out = false;
                    self.working.insert(replica.get() as usize);
                    let (sequence, ticket) = (record.sequence, record.ticket(generation));
                    self.actions.answers.push((
                        replica,
                        ticket,
                        Answer::Granted { sequence, grant },
                    ));
                }
            }
            Effect::Close { lane, .. } => self.close(lane),
            Effect::Advanced { global_step } => {
                self.actions.made.push(self.step_stats.made(self.engine.generation(), global_step));
                self.actions.in_vain = self.in_vain(global_step);
            }
            Effect::Superseded { replica } => {
                let told = self.engine.config().settings().tell_superseded;
                let generation = self.engine.generation();
                if let Some(record) = self.records.get(replica.get() as usize).filter(|_| told) {
                    let (sequence, ticket) = (record.sequence, record.ticket(generation));
                    self.actions.answers.push((replica, ticket, Answer::Superseded { sequence }));
                }
            }
            Effect::TokenExpired { replica, cause } => {
                tracing::warn!(%replica, %cause, "its token goes to another replica");
                if let Some(record) = self.records.get_mut(replica.get() as usize) {
                    record.timed_out = matches!(cause, Expiry::TimedOut { .. });
                }
            }
            Effect::Overdue(overdue) => {
                tracing::warn!(%overdue, "a step is overdue");
                let generation = self.engine.generation();
                for &replica in &overdue.waiting {
                    if let Some(record) = self.records.get(replica.get() as usize) {
                        let (ticket, told) = (record.ticket(generation), overdue.clone());
                        self.actions.answers.push((replica, ticket, Answer::Overdue(told)));
                    }
                }
            }
            Effect::Ended => self.actions.ended = self.engine.stopped().cloned(),
        }
    }

    /// The replicas that work on a step below this one, to be told (P-13).
    fn in_vain(&self, global_step: GlobalStep) -> Vec<ReplicaId> {
        if !self.engine.config().settings().tell_superseded {
            return Vec::new();
        }
        let below = |index: &&usize| {
            let grant = self.records[**index].grant.as_ref();
            grant.is_some_and(|grant| grant.local_step.get() < global_step.get())
        };
        self.working.iter().filter(below).map(|index| ReplicaId::new(*index as u64)).collect()
    }

    fn close(&mut self, lane: usize) {
        // A step is made by the last of its lanes that closes.
        let lanes = self.engine.num_lanes();
        if self.closed_lanes == 0 {
            self.step_stats.close();
        }
        self.closed_lanes += 1;
        let last = self.closed_lanes == lanes;
        if last {
            self.closed_lanes = 0;
        }
        let global_step = self.engine.global_step();
        let global_step = global_step.next().unwrap_or(global_step);
        if let Some(loss) = self.step_stats.bad_loss().filter(|_| self.nan_guard) {
            let found = NanLoss::new(global_step.get(), loss);
            return self.not_finite(found.to_string());
        }
        self.updating[lane] = self.shards;
        let variable = self.variable_of(lane);
        let decided = self.hand_out_decisions();
        let apply = ShardCommand::Apply { decided, variable, global_step, last };
        self.actions.commands.push(apply);
    }
}
