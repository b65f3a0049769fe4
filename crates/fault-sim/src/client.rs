//! A replica: it joins, asks, computes, pushes, and asks again until it is answered.
//!
//! It never decides that a push was lost: it repeats it with the same number until the server has
//! spoken (P-15). What a dead one knew is gone, save that its next connection has a higher number.

use std::time::Duration;

use accum_core::GlobalStep;
use engine::{Admission, Grant, Outcome, Push, Refused};
use engine::{Generation, ReplicaId};

use super::happenings::Happening;
use super::invariants::{Fact, gradient};
use super::message::{Answer, Request, Ticket};
use super::stage::{Event, Stage};

/// How much slower than the others a slow replica is.
pub(super) const SLOW: u32 = 4;

#[derive(Clone, Debug)]
pub(super) struct Client {
    id: usize,
    connection: u64,
    slow: bool,
    pub(super) state: State,
    /// Counts the states; a timer of an earlier one is void.
    stamp: u64,
    pub(super) ticket: Option<Ticket>,
    sequence: u64,
    /// The newest step it heard of, in its generation.
    known_step: GlobalStep,
    /// Pieces of work that are done, and known to be.
    pub(super) finished: u64,
    /// What came while it was paused.
    inbox: Vec<Event>,
    pub(super) paused: bool,
    leaving: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Down,
    Joining,
    Asking,
    Computing(Grant),
    Pushing(Push, Vec<f64>),
    GivingUp {
        begun: bool,
    },
    Leaving,
    /// It left, and may come back.
    Away,
    /// Training has ended.
    Done,
}

impl Client {
    pub(super) fn new(id: usize, slow: bool) -> Self {
        Self {
            id,
            connection: 0,
            slow,
            state: State::Down,
            stamp: 0,
            ticket: None,
            sequence: 0,
            known_step: GlobalStep::default(),
            finished: 0,
            inbox: Vec::new(),
            paused: false,
            leaving: false,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.state, State::Down | State::Away)
    }

    /// Whether it will be away soon.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_live() && self.leaving
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn join(&mut self, stage: &mut Stage) {
        self.connection += 1;
        (self.ticket, self.leaving) = (None, false);
        self.enter(State::Joining, stage);
    }

    /// All that it knew is gone.
    pub(super) fn die(&mut self) -> Option<Ticket> {
        self.stamp += 1;
        self.state = State::Down;
        self.inbox.clear();
        self.paused = false;
        self.ticket.take()
    }

    /// It changes its mind about leaving, unless it has said so already.
    pub(super) fn stay(&mut self) {
        self.leaving = matches!(self.state, State::Leaving);
    }

    /// It leaves in peace, once it has no piece of work.
    pub(super) fn leave(&mut self, stage: &mut Stage) {
        self.leaving = true;
        if self.state == State::Asking {
            self.enter(State::Asking, stage);
        }
    }

    /// Goes on after a pause; gives back what came meanwhile.
    pub(super) fn resume(&mut self) -> Vec<Event> {
        self.paused = false;
        std::mem::take(&mut self.inbox)
    }

    /// Keeps an event for after the pause.
    pub(super) fn keep(&mut self, event: Event) {
        self.inbox.push(event);
    }

    pub(super) fn receive(&mut self, answer: Answer, stage: &mut Stage) {
        if !self.is_live() || self.state == State::Done {
            return;
        }
        match answer {
            Answer::Joined { connection, ticket, global_step } => {
                if self.state == State::Joining && connection == self.connection {
                    self.ticket = Some(ticket);
                    (self.sequence, self.known_step) = (1, global_step);
                    self.enter(State::Asking, stage);
                }
            }
            Answer::Ended => self.enter(State::Done, stage),
            Answer::Advanced { generation, global_step } => {
                self.hear(generation, global_step, stage);
            }
            Answer::Refused { ticket, refused } => {
                if self.ticket == Some(ticket) {
                    match refused {
                        Refused::Ended => self.enter(State::Done, stage),
                        _ => self.join(stage),
                    }
                }
            }
            Answer::Left { ticket } => {
                if self.ticket == Some(ticket) && self.state == State::Leaving {
                    self.ticket = None;
                    self.enter(State::Away, stage);
                }
            }
            Answer::Overdue { ticket } => {
                if self.ticket == Some(ticket) && self.state == State::Asking {
                    self.enter(State::Asking, stage);
                }
            }
            Answer::Granted { ticket, sequence, .. }
            | Answer::Pushed { ticket, sequence, .. }
            | Answer::GaveUp { ticket, sequence }
            | Answer::Superseded { ticket, sequence } => {
                if self.ticket == Some(ticket) && self.sequence == sequence {
                    self.go_on(ticket, answer, stage);
                }
            }
        }
    }

    /// An answer about the present piece of work.
    fn go_on(&mut self, ticket: Ticket, answer: Answer, stage: &mut Stage) {
        match (&self.state, answer) {
            (State::Asking, Answer::Granted { grant, .. }) => {
                if self.is_over(&grant, stage) {
                    stage.happened(Happening::Declined);
                    stage.note(&Fact::Heeded { ticket, grant: &grant });
                    self.enter(State::GivingUp { begun: false }, stage);
                } else {
                    self.enter(State::Computing(grant), stage);
                }
            }
            (State::Pushing(..), Answer::Pushed { sequence, outcome, .. }) => {
                self.note_outcome(ticket, sequence, &outcome, stage);
                self.next_piece(stage);
            }
            (State::GivingUp { .. }, Answer::GaveUp { .. }) => self.next_piece(stage),
            (State::Computing(grant), Answer::Superseded { .. }) => {
                stage.happened(Happening::ToldSuperseded);
                stage.happened(Happening::GaveUp);
                stage.note(&Fact::Heeded { ticket, grant });
                self.enter(State::GivingUp { begun: true }, stage);
            }
            _ => {}
        }
    }

    fn note_outcome(&self, ticket: Ticket, sequence: u64, outcome: &Outcome, stage: &mut Stage) {
        let replica = ReplicaId::new(self.id as u64);
        stage.note(&Fact::Acknowledged { replica, ticket, sequence, outcome });
    }

    fn next_piece(&mut self, stage: &mut Stage) {
        self.finished += 1;
        self.sequence += 1;
        self.enter(State::Asking, stage);
    }

    /// P-13: the step moved.
    fn hear(&mut self, generation: Generation, global_step: GlobalStep, stage: &mut Stage) {
        let Some(ticket) = self.ticket.filter(|ticket| ticket.generation == generation) else {
            return;
        };
        self.known_step = self.known_step.max(global_step);
        if let State::Computing(grant) = &self.state
            && self.is_over(grant, stage)
        {
            stage.happened(Happening::ToldAdvanced);
            stage.happened(Happening::GaveUp);
            stage.note(&Fact::Heeded { ticket, grant });
            self.enter(State::GivingUp { begun: true }, stage);
        }
    }

    fn is_over(&self, grant: &Grant, stage: &Stage) -> bool {
        stage.mix.config.settings().tell_superseded
            && grant.local_step.get() < self.known_step.get()
    }

    pub(super) fn retry(&mut self, stamp: u64, stage: &mut Stage) {
        if stamp == self.stamp {
            self.send(stage);
        }
    }

    pub(super) fn beat(&mut self, stamp: u64, stage: &mut Stage) {
        if let (true, Some(every), Some(ticket)) =
            (stamp == self.stamp, stage.mix.heartbeat, self.ticket)
        {
            stage.send_request(self.id, &Request::Alive { ticket });
            stage.agenda.after(every, Event::Beat { replica: self.id, stamp });
        }
    }

    pub(super) fn computed(&mut self, stamp: u64, stage: &mut Stage) {
        let (State::Computing(grant), true, Some(ticket)) =
            (&self.state, stamp == self.stamp, self.ticket)
        else {
            return;
        };
        let values = (0..stage.mix.variables).map(|variable| gradient(grant.number, variable));
        let values = values.collect();
        let push = Push {
            replica: ReplicaId::new(self.id as u64),
            incarnation: ticket.incarnation,
            generation: ticket.generation,
            sequence: self.sequence,
            local_step: grant.local_step,
            lanes: lanes(stage),
        };
        self.enter(State::Pushing(push, values), stage);
    }

    fn enter(&mut self, state: State, stage: &mut Stage) {
        self.stamp += 1;
        let replica = self.id;
        let stamp = self.stamp;
        self.state = match state {
            State::Asking if self.leaving => State::Leaving,
            state => state,
        };
        if let State::Computing(_) = self.state {
            let longest = stage.mix.compute.as_micros() as u64;
            let mut batch = Duration::from_micros(stage.dice.between(longest / 10, longest));
            if self.slow {
                batch *= SLOW;
            }
            stage.agenda.after(batch, Event::Computed { replica, stamp });
            if let Some(every) = stage.mix.heartbeat {
                stage.agenda.after(every, Event::Beat { replica, stamp });
            }
        } else {
            self.send(stage);
        }
    }

    /// Says, perhaps once more, what it wants in its present state.
    fn send(&mut self, stage: &mut Stage) {
        let request = match (&self.state, self.ticket) {
            (State::Joining, _) => Request::Join { connection: self.connection },
            (State::Asking, Some(ticket)) => Request::Ask { ticket, sequence: self.sequence },
            (State::Pushing(push, values), _) => {
                Request::Push { push: push.clone(), gradient: values.clone() }
            }
            (&State::GivingUp { begun }, Some(ticket)) => {
                Request::GiveUp { ticket, sequence: self.sequence, begun }
            }
            (State::Leaving, Some(ticket)) => Request::Leave { ticket },
            _ => return,
        };
        stage.send_request(self.id, &request);
        let (replica, stamp) = (self.id, self.stamp);
        stage.agenda.after(stage.mix.retry, Event::Retry { replica, stamp });
    }
}

/// All variables, or by chance some: per variable a push may leave others out.
fn lanes(stage: &mut Stage) -> Option<Vec<usize>> {
    let per_variable = stage.mix.config.settings().admission == Admission::PerVariable;
    if !per_variable || !stage.dice.chance(stage.mix.faults.partial) {
        return None;
    }
    let some: Vec<usize> = (0..stage.mix.variables).filter(|_| stage.dice.chance(0.5)).collect();
    (!some.is_empty()).then_some(some)
}
