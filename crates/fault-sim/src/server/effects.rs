//! What the engine answered, carried out: gradients kept, taken and applied, replicas told.

use engine::ReplicaId;
use engine::{Admission, Effect, Outcome, Push};

use super::{Contribution, Server};
use crate::happenings::Happening;
use crate::invariants::{Contributor, Fact};
use crate::message::Answer;
use crate::stage::{Event, Stage};

impl Server {
    /// Keeps an accepted gradient for the variables that took it (P-11).
    pub(super) fn store(
        &mut self,
        replica: usize,
        push: &Push,
        gradient: &[f64],
        outcome: &Outcome,
        stage: &mut Stage,
    ) {
        stage.happened(match outcome {
            Outcome::Stale { .. } => Happening::Stale,
            Outcome::Duplicate { .. } => Happening::Duplicates,
            Outcome::Partly { .. } => Happening::Partly,
            _ => Happening::Accepted,
        });
        if !outcome.is_accepted() {
            return;
        }
        if self.seats[replica].lease_expired {
            stage.happened(Happening::PushedWithoutLease);
        }
        let by = Contributor::of(push);
        for (variable, held) in self.held.iter_mut().enumerate() {
            let lane = lane_of(variable, stage);
            let took = match outcome {
                Outcome::Partly { accepted } => accepted.contains(&lane),
                _ => push.lanes.as_ref().is_none_or(|lanes| lanes.contains(&lane)),
            };
            if took {
                held.push(Contribution { by, value: gradient[variable] });
            }
        }
    }

    pub(super) fn carry_out(&mut self, effect: Effect, stage: &mut Stage) {
        let told = stage.mix.config.settings().tell_superseded;
        match effect {
            Effect::Grant(grant) => {
                let replica = grant.replica.get() as usize;
                let ticket = self.ticket(replica);
                let seat = &mut self.seats[replica];
                (seat.grant, seat.lease_expired) = (Some(grant.clone()), false);
                let sequence = seat.sequence;
                stage.send_answer(replica, &Answer::Granted { ticket, sequence, grant });
            }
            Effect::Close { lane, count } => self.take(lane, count, stage),
            Effect::Advanced { global_step } => {
                stage.happened(Happening::Steps);
                self.published.clone_from(&self.variables);
                let generation = self.engine.generation();
                let advanced = Answer::Advanced { generation, global_step };
                self.tell_all(&advanced, told, stage);
            }
            Effect::Superseded { replica } => {
                let replica = replica.get() as usize;
                let (ticket, sequence) = (self.ticket(replica), self.seats[replica].sequence);
                if told {
                    stage.send_answer(replica, &Answer::Superseded { ticket, sequence });
                }
            }
            Effect::LeaseExpired { replica } => {
                stage.happened(Happening::LeaseExpired);
                self.seats[replica.get() as usize].lease_expired = true;
            }
            Effect::Overdue(overdue) => {
                stage.happened(Happening::Overdue);
                for replica in overdue.waiting.iter().map(|replica: &ReplicaId| replica.get()) {
                    let ticket = self.ticket(replica as usize);
                    stage.send_answer(replica as usize, &Answer::Overdue { ticket });
                }
            }
            Effect::Ended => self.tell_all(&Answer::Ended, true, stage),
        }
    }

    fn tell_all(&self, answer: &Answer, wanted: bool, stage: &mut Stage) {
        let live = self.seats.iter().enumerate().filter(|(_, seat)| wanted && seat.live);
        for (replica, _) in live {
            stage.send_answer(replica, answer);
        }
    }

    /// The chief takes a lane's mean; its update takes a while.
    fn take(&mut self, lane: usize, count: u64, stage: &mut Stage) {
        if count > stage.mix.config.replicas_to_aggregate() as u64 {
            stage.happened(Happening::MoreThanNeeded);
        }
        let mut contributors = Vec::new();
        for (variable, held) in self.held.iter_mut().enumerate() {
            if lane_of(variable, stage) == lane {
                let sum: f64 = held.iter().map(|contribution| contribution.value).sum();
                // the divisor is what is held.
                self.means[variable] = sum / held.len() as f64;
                contributors.push(held.drain(..).map(|it| it.by).collect::<Vec<_>>());
            }
        }
        stage.note(&Fact::Took { lane, count, contributors: &contributors });
        self.updating[lane] = true;
        let way = stage.mix.update.as_micros() as u64;
        let update = std::time::Duration::from_micros(stage.dice.between(0, way));
        stage.agenda.after(update, Event::Applied { epoch: self.epoch, lane });
    }

    /// The chief has updated a lane: the variables first, then the engine, which moves the step.
    pub(crate) fn applied(&mut self, lane: usize, stage: &mut Stage) {
        for (variable, mean) in self.means.iter().enumerate() {
            if lane_of(variable, stage) == lane {
                self.variables[variable] -= mean;
            }
        }
        self.updating[lane] = false;
        stage.note(&Fact::Updated { lane, variables: &self.variables });
        let mut effects = Vec::new();
        self.engine.applied(lane, stage.now(), &mut effects);
        self.settle(effects, stage);
    }
}

/// With all-or-nothing admission there is one lane, else one for each variable.
fn lane_of(variable: usize, stage: &Stage) -> usize {
    match stage.mix.config.settings().admission {
        Admission::Together => 0,
        Admission::PerVariable => variable,
    }
}
