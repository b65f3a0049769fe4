//! Requests of replicas, each idempotent.

use sync_replicas::ReplicaId;
use sync_replicas::driver::Generation;
use sync_replicas::engine::{
    Engine, FailingBatch, FailureCounts, JoinError, Outcome, Refused, StopReason,
};
use sync_replicas::record::{Failure, SpanKind};

use super::{
    Answer, Commit, Contribution, Coordinator, Decision, DoneWork, GiveUp, GivenUp, Observed,
    Refusal, ReplicaRecord, Ticket,
};
use crate::place::{Caller, NotAdmitted};

/// How many processes that had a replica's place are remembered. Earlier ones have ended long ago;
/// one that has not waits for a held place.
const MOST_REPLACED: usize = 8;

impl Coordinator {
    /// Whether a process may say hello for a replica while the process of `connected`, if any, is
    /// connected (P-26).
    ///
    /// One process at a time has the place. Another gets it once the holder's connection is closed,
    /// as it is at once when the holder dies, or once its lease has ended. An earlier holder does
    /// not get it back, so two processes never take it from each other in turn.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admits(
        &self,
        replica: ReplicaId,
        caller: &Caller,
        connected: Option<&Caller>,
    ) -> Result<(), NotAdmitted> {
        let Some(index) = self.index(replica) else { return Ok(()) };
        let record = &self.records[index];
        if record.replaced.contains(&caller.process) {
            return Err(NotAdmitted::Replaced(replica));
        }
        caller.comes_after(replica, connected)?;
        // Its hello was on its way when that process had connected anew, and is gone since.
        if record.process == Some(caller.process) && caller.connection <= record.connection {
            return Err(NotAdmitted::Old(replica));
        }
        let held = |other: &Caller| {
            let lives = record.live && record.process == Some(other.process);
            other.process != caller.process && (lives || self.engine.stopped().is_some())
        };
        if connected.is_some_and(held) { Err(NotAdmitted::Held(replica)) } else { Ok(()) }
    }

    /// A process that [may](Self::admits) says hello for a replica; returns its ticket.
    ///
    /// With a valid ticket of an earlier connection it goes on where it was. Otherwise an earlier
    /// life of the replica ends, and a new one begins.
    ///
    /// # Errors
    /// [`Refusal`] when the number is unknown, or training has ended.
    pub fn hello(&mut self, replica: ReplicaId, caller: &Caller) -> Result<Ticket, Refusal> {
        let &Caller { process, connection, ticket } = caller;
        let refuse = |reason: String| Refusal { sequence: 0, reason, rejoin: false };
        let total = self.records.len();
        let Some(index) = self.index(replica) else {
            return Err(refuse(JoinError::Unknown { replica, total }.to_string()));
        };
        let record = &mut self.records[index];
        record.heard = self.now;
        let known =
            Ticket { generation: self.engine.generation(), incarnation: record.incarnation };
        if record.live && record.process == Some(process) && ticket == Some(known) {
            record.connection = connection;
            return Ok(known);
        }
        if record.live {
            let incarnation = record.incarnation;
            self.depart(index, incarnation);
        }
        let incarnation = self
            .engine
            .join(replica, self.now, &mut self.effects)
            .map_err(|error| refuse(error.to_string()))?;
        self.observations.note(|| Observed::Joined { replica, incarnation });
        let record = &mut self.records[index];
        let mut replaced = std::mem::take(&mut record.replaced);
        replaced.extend(record.process.filter(|&earlier| earlier != process));
        if replaced.len() > MOST_REPLACED {
            replaced.pop_front();
        }
        *record = ReplicaRecord {
            process: Some(process),
            connection,
            replaced,
            incarnation,
            live: true,
            sequence: 1,
            heard: self.now,
            ..ReplicaRecord::default()
        };
        self.settle();
        Ok(Ticket { incarnation, ..known })
    }

    /// A contribution is staged everywhere: does it count? (P-11, P-15)
    pub fn commit(&mut self, replica: ReplicaId, commit: &Commit) {
        let contribution = commit.contribution(replica);
        let (index, mut push) = match self.vet(replica, commit) {
            Ok(vetted) => vetted,
            Err(refusal) => {
                return self.refuse_commit(replica, commit, refusal);
            }
        };
        let first = self.pattern.is_none();
        if self.engine.judges_stale(push.local_step) {
            // What every lane drops fixes none.
            push.lanes = None;
        } else {
            self.fix_pattern(&commit.variables);
        }
        let decision = self.engine.push(&push, self.now, &mut self.effects);
        let judged = || Observed::Decided { push: push.clone(), decision: decision.clone() };
        self.observations.note(judged);
        let accepted = decision.as_ref().is_ok_and(|it| it.outcome.is_accepted());
        if first && !accepted {
            self.pattern = None;
        }
        let decision = match decision {
            Ok(decision) => decision,
            Err(refused) => {
                self.discard_now(contribution);
                self.refuse(replica, commit.ticket, &refused, commit.sequence);
                return;
            }
        };
        let outcome = decision.outcome;
        if decision.repeated {
            // It was staged once more; it counts, or does not, as the first time.
            self.discard_now(contribution);
        } else {
            let grant = self.take_grant(index);
            let batch = grant.as_ref().map(|grant| grant.number);
            let key = grant.and_then(|grant| grant.share).unwrap_or(0);
            let step = commit.local_step.get();
            let Commit { loss, examples, .. } = *commit;
            self.step_stats.push(&outcome, (key, replica), step, loss, examples);
            let (kind, staleness) = SpanKind::of_push(&outcome);
            self.note(index, DoneWork { step, batch, kind, staleness, times: commit.times });
            self.decide(match &outcome {
                Outcome::Accepted { .. } => {
                    let variables = push.lanes.as_ref().map(|_| commit.variables.clone());
                    Decision::Admit { contribution, key, variables }
                }
                Outcome::Partly { accepted } => {
                    let took = accepted.iter().filter_map(|&lane| self.variable_of(lane));
                    Decision::Admit { contribution, key, variables: Some(took.collect()) }
                }
                // Stale, or a duplicate: its gradients are dropped.
                _ => Decision::Discard(contribution),
            });
            let record = &mut self.records[index];
            (record.pushed, record.sequence) = (commit.sequence, commit.sequence + 1);
        }
        let sequence = commit.sequence;
        self.actions.answers.push((replica, commit.ticket, Answer::Pushed { sequence, outcome }));
        self.settle();
    }

    /// A replica asks for the token of a piece of work, perhaps once more.
    pub fn ask(&mut self, replica: ReplicaId, ticket: Ticket, sequence: u64) {
        let Some(index) = self.admitted(replica, ticket, sequence) else { return };
        let record = &self.records[index];
        if sequence != record.sequence {
            // The answer that it was given up may be lost with a connection.
            if sequence > record.pushed && sequence < record.sequence {
                self.actions.answers.push((replica, ticket, Answer::GaveUp { sequence }));
            }
            return;
        }
        if let Some(grant) = self.records[index].grant.clone() {
            self.actions.answers.push((replica, ticket, Answer::Granted { sequence, grant }));
            return;
        }
        match self.engine.request(replica, ticket.incarnation, self.now, &mut self.effects) {
            Ok(()) => self.settle(),
            Err(refused) => {
                self.refuse(replica, ticket, &refused, sequence);
            }
        }
    }

    /// A replica will not finish a piece of work.
    pub fn give_up(&mut self, replica: ReplicaId, ticket: Ticket, work: GiveUp) {
        let GiveUp { sequence, why, times } = work;
        let Some(index) = self.admitted(replica, ticket, sequence) else { return };
        if sequence == self.records[index].sequence {
            let incarnation = ticket.incarnation;
            let step = self.engine.local_step(replica).map_or(0, |step| step.get());
            let event = match why {
                GivenUp::Begun => Engine::give_up,
                GivenUp::NotBegun => Engine::decline,
                GivenUp::NotFinite => Engine::skip,
            };
            let done = event(&mut self.engine, replica, incarnation, self.now, &mut self.effects);
            if let Err(refused) = done {
                self.refuse(replica, ticket, &refused, sequence);
                return;
            }
            self.observations.note(|| Observed::GaveUp { replica });
            let kind = match why {
                GivenUp::Begun => Some(SpanKind::Superseded),
                GivenUp::NotBegun => None,
                GivenUp::NotFinite => Some(SpanKind::NotFinite),
            };
            if let Some(kind) = kind {
                let batch = self.records[index].grant.as_ref().map(|grant| grant.number);
                self.note(index, DoneWork { step, batch, kind, staleness: 0, times });
            }
            self.take_grant(index);
            let record = &mut self.records[index];
            record.sequence = sequence + 1;
            if why == GivenUp::Begun && record.owe() {
                let incarnation = ticket.incarnation;
                self.discard_now(Contribution { replica, incarnation, sequence });
            }
            self.not_finite |= self.engine.ended_not_finite();
            // Before the effects: what they grant is the next piece of work.
            self.actions.answers.push((replica, ticket, Answer::GaveUp { sequence }));
            self.settle();
        } else {
            self.actions.answers.push((replica, ticket, Answer::GaveUp { sequence }));
        }
    }

    /// A sign of life: the lease begins anew (P-5). A replica taken for dead meanwhile is told to
    /// join again, since it may be waiting for what will not come.
    pub fn alive(&mut self, replica: ReplicaId, ticket: Ticket) {
        if self.admitted(replica, ticket, 0).is_some() {
            // Refused only by a lease that is not there.
            if self.engine.renew(replica, ticket.incarnation, self.now).is_ok() {
                self.observations.note(|| Observed::Renewed { replica });
            }
        }
    }

    /// A replica leaves: its data ended, or it failed (P-2, P-6). In replica order the batch at
    /// which it failed goes to another, and training ends when it has made several fail (P-5).
    pub fn leave(&mut self, replica: ReplicaId, ticket: Ticket, failure: Option<String>) {
        let member = self.check(replica, ticket).ok();
        let deadly = member.filter(|_| failure.is_some()).and_then(|at| self.count_failure(at));
        let skips = self.engine.config().settings().failing_batch == FailingBatch::Skip;
        if let Some(number) = deadly.filter(|_| skips) {
            self.leave_batch_out(replica, ticket, number);
        }
        let most = FailureCounts::LIMIT;
        let deadly = deadly.filter(|_| !skips).zip(failure.as_ref()).map(|(number, reason)| {
            format!(
                "batch {number} made {most} replicas fail, so no other one tries it; mend it or \
                 the model, or leave it out: {reason}"
            )
        });
        if let Some(index) = member {
            self.depart(index, ticket.incarnation);
        }
        // Who was taken for dead, or joined before a restore, is not waited for either.
        let absent = self.index(replica).filter(|&index| !self.records[index].live);
        if let Some(index) = member.or(absent) {
            let record = &mut self.records[index];
            self.actions.failures.extend(failure.clone().map(|reason| Failure { replica, reason }));
            (record.left, record.failure) = (true, failure);
        }
        self.actions.answers.push((replica, ticket, Answer::Left));
        if let Some(reason) = deadly {
            self.stop(StopReason::Failed(reason));
        }
        if self.records.iter().all(|record| record.left) {
            let failure = self.records.iter().find_map(|record| record.failure.clone());
            let all_failed = self.records.iter().all(|record| record.failure.is_some());
            self.stop(match failure.filter(|_| all_failed) {
                Some(reason) => StopReason::Failed(format!("every replica failed: {reason}")),
                None => StopReason::Requested("every replica has left".to_owned()),
            });
        }
    }

    /// Counts one more replica that failed at the batch it has, which goes to another; the batch's
    /// number, if no other is to get it (P-5).
    fn count_failure(&mut self, index: usize) -> Option<u64> {
        let grant = self.records[index].grant.as_ref().filter(|grant| grant.share.is_some())?;
        let number = grant.number;
        self.failure_counts.failed(number).then_some(number)
    }

    fn leave_batch_out(&mut self, replica: ReplicaId, ticket: Ticket, batch: u64) {
        let left_out = self.engine.leave_batch_out(replica, ticket.incarnation, &mut self.effects);
        if left_out == Ok(true) {
            tracing::warn!(
                batch,
                "a batch made {} replicas fail; it is left out",
                FailureCounts::LIMIT
            );
        }
        self.settle();
    }

    pub(super) fn depart(&mut self, index: usize, incarnation: sync_replicas::driver::Incarnation) {
        let id = ReplicaId::new(index as u64);
        if self.engine.leave(id, incarnation, self.now, &mut self.effects) {
            self.observations.note(|| Observed::Left { replica: id });
        }
        self.take_grant(index);
        self.records[index].live = false;
        // Whatever it staged and did not commit is void, and whatever of that life comes yet.
        let contribution = Contribution { replica: id, incarnation, sequence: u64::MAX };
        self.discard_now(contribution);
        self.settle();
    }

    /// The sender's record, if its identity is right; the engine fences incarnations, and requests
    /// without a generation are fenced here (P-9).
    pub(super) fn check(&self, replica: ReplicaId, ticket: Ticket) -> Result<usize, Refused> {
        let expected: Generation = self.engine.generation();
        if ticket.generation != expected {
            return Err(Refused::Generation { expected, got: ticket.generation });
        }
        let incarnation = ticket.incarnation;
        self.index(replica)
            .filter(|&index| {
                let record = &self.records[index];
                record.live && record.incarnation == incarnation
            })
            .ok_or(Refused::NotJoined { replica, incarnation })
    }

    fn admitted(&mut self, replica: ReplicaId, ticket: Ticket, sequence: u64) -> Option<usize> {
        match self.check(replica, ticket) {
            Ok(index) => {
                self.records[index].heard = self.now;
                Some(index)
            }
            Err(refused) => {
                self.refuse(replica, ticket, &refused, sequence);
                None
            }
        }
    }

    pub(super) fn index(&self, replica: ReplicaId) -> Option<usize> {
        usize::try_from(replica.get()).ok().filter(|&index| index < self.records.len())
    }

    /// Tells a replica's life the reason of a refusal; an end is told to all as such.
    fn refuse(&mut self, replica: ReplicaId, ticket: Ticket, refused: &Refused, sequence: u64) {
        if *refused != Refused::Ended {
            let refusal = Answer::Refused(Refusal::of(refused, sequence));
            self.actions.answers.push((replica, ticket, refusal));
        }
    }
}
