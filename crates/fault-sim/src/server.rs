//! The server: the real engine, the gradients that it holds, and what its replicas may ask again.
//!
//! It decides nothing. What it adds to the engine is what any network needs: a request that comes
//! twice is answered twice and done once.

use std::time::Duration;

use accum_core::GlobalStep;
use engine::{Effect, Engine, Grant, Positions, Push, Refused, StopReason};
use engine::{Generation, Incarnation, ReplicaId};

use super::happenings::Happening;
use super::invariants::{Broken, Contributor, Fact};
use super::message::{Answer, Request, Ticket};
use super::stage::{Event, Stage};

mod effects;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) engine: Engine,
    /// Its life; events put down in an earlier one are void.
    pub(super) epoch: u64,
    seats: Vec<Seat>,
    /// The gradients held, by variable.
    held: Vec<Vec<Contribution>>,
    /// The means of lanes that are taken and not yet applied, by variable.
    means: Vec<f64>,
    variables: Vec<f64>,
    /// Which lanes are taken and not yet applied.
    pub(super) updating: Vec<bool>,
    /// The variables of the global step, whole; `variables` may be amidst an update.
    published: Vec<f64>,
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) generation: Generation,
    pub(super) global_step: GlobalStep,
    pub(super) variables: Vec<f64>,
    pub(super) positions: Positions,
}

/// What the server knows of one replica's connection.
#[derive(Clone, Debug, Default)]
struct Seat {
    connection: u64,
    incarnation: Incarnation,
    live: bool,
    /// The piece of work that is granted, or waited for.
    sequence: u64,
    grant: Option<Grant>,
    lease_expired: bool,
}

#[derive(Clone, Copy, Debug)]
struct Contribution {
    by: Contributor,
    value: f64,
}

impl Server {
    /// Starts from the last checkpoint, if there is one, in a generation above all earlier ones.
    pub(super) fn start(saved: Option<&Saved>, epoch: u64, stage: &mut Stage) -> Self {
        let (config, variables) = (stage.mix.config.clone(), stage.mix.variables);
        let replicas = config.total_num_replicas();
        let mut engine = Engine::new(config, variables, GlobalStep::default(), Generation::new(1));
        let mut values = vec![0.0; variables];
        if let Some(saved) = saved {
            engine.restore(saved.global_step, saved.generation, engine.num_lanes());
            // It was saved in the same order.
            let _exact = engine.set_positions(&saved.positions);
            values.clone_from(&saved.variables);
        }
        let server = Self {
            engine,
            epoch,
            seats: vec![Seat::default(); replicas],
            held: vec![Vec::new(); variables],
            means: vec![0.0; variables],
            updating: vec![false; variables],
            published: values.clone(),
            variables: values,
        };
        stage.note(&Fact::Serves {
            generation: server.engine.generation(),
            global_step: server.engine.global_step(),
            variables: &server.variables,
        });
        stage.agenda.after(Duration::ZERO, Event::Tick { epoch });
        let late = stage.dice.chance(0.3);
        let wait = if late { stage.dice.millis(0, 200) } else { Duration::ZERO };
        stage.agenda.after(wait, Event::StartChief { epoch });
        stage.agenda.after(stage.mix.checkpoint, Event::Save { epoch });
        server
    }

    /// The chief comes, perhaps long after the replicas: the initial tokens go out.
    pub(super) fn start_chief(&mut self, stage: &mut Stage) {
        let mut effects = Vec::new();
        let initial = self.engine.config().settings().initial_tokens;
        match self.engine.start_chief(initial, stage.now(), &mut effects) {
            Ok(tokens) => stage.note(&Fact::ChiefStarts { tokens: tokens as u64 }),
            Err(error) => {
                let what = error.to_string();
                stage.fail(Broken { invariant: "the mix fits together", what });
            }
        }
        self.settle(effects, stage);
    }

    pub(super) fn receive(&mut self, replica: usize, request: Request, stage: &mut Stage) {
        match request {
            Request::Join { connection } => self.join(replica, connection, stage),
            Request::Push { push, gradient } => self.push(replica, &push, &gradient, stage),
            Request::Ask { ticket, .. }
            | Request::GiveUp { ticket, .. }
            | Request::Alive { ticket }
            | Request::Leave { ticket }
            | Request::Dead { ticket } => match self.admit(replica, ticket, stage) {
                Ok(()) => self.serve(replica, ticket, &request, stage),
                Err(refused) => self.refuse(replica, ticket, refused, stage),
            },
        }
    }

    /// What the chief must be told to end (P-1).
    pub(super) fn stop(&mut self, stage: &mut Stage) {
        let mut effects = Vec::new();
        self.engine.stop(StopReason::Requested("enough".to_owned()), &mut effects);
        self.settle(effects, stage);
    }

    /// Time has passed (P-5).
    pub(super) fn tick(&mut self, stage: &mut Stage) {
        let mut effects = Vec::new();
        stage.note(&Fact::Ticked);
        let next = self.engine.tick(stage.now(), &mut effects);
        self.settle(effects, stage);
        if let Some(next) = next {
            stage.agenda.at(next, Event::Tick { epoch: self.epoch });
        }
    }

    /// A copy of the state, of one step, while training goes on.
    pub(super) fn save(&self) -> Saved {
        Saved {
            generation: self.engine.generation(),
            global_step: self.engine.global_step(),
            variables: self.published.clone(),
            positions: self.engine.positions(self.engine.global_step()),
        }
    }

    /// Whether an update is under way.
    pub(super) fn is_updating(&self) -> bool {
        self.updating.contains(&true) || self.variables != self.published
    }

    /// Whether the replica is a member, so that it is told of an end.
    pub(super) fn is_member(&self, replica: usize) -> bool {
        self.seats[replica].live
    }

    /// Whether that piece of work is granted to the replica.
    pub(super) fn has_granted(&self, replica: usize, sequence: u64) -> bool {
        let seat = &self.seats[replica];
        seat.live && seat.sequence == sequence && seat.grant.is_some()
    }

    /// Whether the replica's push of that number has come.
    pub(super) fn has_done(&self, replica: usize, ticket: Ticket, sequence: u64) -> bool {
        let seat = &self.seats[replica];
        self.engine.generation() == ticket.generation
            && seat.incarnation == ticket.incarnation
            && seat.sequence > sequence
    }

    /// Whether the sender is who it says it is; the engine fences incarnations, and what is asked
    /// of it without a generation is fenced here (P-9).
    fn admit(&mut self, replica: usize, ticket: Ticket, stage: &mut Stage) -> Result<(), Refused> {
        let expected = self.engine.generation();
        if ticket.generation != expected {
            return Err(Refused::Generation { expected, got: ticket.generation });
        }
        let seat = &self.seats[replica];
        if seat.live && seat.incarnation == ticket.incarnation {
            return Ok(());
        }
        let id = ReplicaId::new(replica as u64);
        match self.engine.renew(id, ticket.incarnation, stage.now()) {
            Err(refused) => Err(refused),
            Ok(()) => {
                let what = format!("{id} of {ticket:?} is gone, yet the engine knows it");
                stage.fail(Broken { invariant: "F-9 an earlier life is fenced off", what });
                Err(Refused::NotJoined { replica: id, incarnation: ticket.incarnation })
            }
        }
    }

    fn refuse(&self, replica: usize, ticket: Ticket, refused: Refused, stage: &mut Stage) {
        stage.happened(match refused {
            Refused::Generation { .. } => Happening::RefusedGeneration,
            Refused::Ended => Happening::RefusedEnded,
            _ => Happening::RefusedIncarnation,
        });
        stage.send_answer(replica, &Answer::Refused { ticket, refused });
    }

    /// A join that comes twice is one; a later one of the same replica ends its earlier life.
    fn join(&mut self, replica: usize, connection: u64, stage: &mut Stage) {
        let (id, now) = (ReplicaId::new(replica as u64), stage.now());
        let seat = self.seats[replica].clone();
        if connection < seat.connection || (connection == seat.connection && !seat.live) {
            return;
        }
        if connection > seat.connection {
            if seat.live {
                self.leave(replica, seat.incarnation, stage);
            }
            let mut effects = Vec::new();
            match self.engine.join(id, now, &mut effects) {
                Ok(incarnation) => {
                    let live = Seat { connection, incarnation, live: true, sequence: 1, ..seat };
                    self.seats[replica] = Seat { grant: None, lease_expired: false, ..live };
                    stage.note(&Fact::Joined { replica: id, incarnation });
                }
                Err(_) => {
                    stage.happened(Happening::RefusedEnded);
                    return stage.send_answer(replica, &Answer::Ended);
                }
            }
            self.settle(effects, stage);
        }
        let (ticket, global_step) = (self.ticket(replica), self.engine.global_step());
        stage.send_answer(replica, &Answer::Joined { connection, ticket, global_step });
    }

    fn serve(&mut self, replica: usize, ticket: Ticket, request: &Request, stage: &mut Stage) {
        let (id, incarnation, now) =
            (ReplicaId::new(replica as u64), ticket.incarnation, stage.now());
        match *request {
            Request::Ask { sequence, .. } => self.ask(replica, ticket, sequence, stage),
            Request::GiveUp { sequence, begun, .. } => {
                if sequence == self.seats[replica].sequence {
                    let mut effects = Vec::new();
                    let done = if begun {
                        self.engine.give_up(id, incarnation, now, &mut effects)
                    } else {
                        self.engine.decline(id, incarnation, now, &mut effects)
                    };
                    if let Err(refused) = done {
                        return self.refuse(replica, ticket, refused, stage);
                    }
                    self.next_piece(replica, sequence);
                    stage.note(&Fact::GaveUp { replica: id });
                    self.settle(effects, stage);
                }
                stage.send_answer(replica, &Answer::GaveUp { ticket, sequence });
            }
            Request::Alive { .. } => {
                if self.engine.renew(id, incarnation, now).is_ok() {
                    stage.note(&Fact::Renewed { replica: id });
                }
            }
            Request::Leave { .. } => {
                self.leave(replica, incarnation, stage);
                stage.send_answer(replica, &Answer::Left { ticket });
            }
            Request::Dead { .. } => self.leave(replica, incarnation, stage),
            Request::Join { .. } | Request::Push { .. } => {}
        }
    }

    fn ask(&mut self, replica: usize, ticket: Ticket, sequence: u64, stage: &mut Stage) {
        let seat = &self.seats[replica];
        if sequence != seat.sequence {
            // An old copy: the replica has long gone on.
            return;
        }
        if let Some(grant) = seat.grant.clone() {
            return stage.send_answer(replica, &Answer::Granted { ticket, sequence, grant });
        }
        let (id, mut effects) = (ReplicaId::new(replica as u64), Vec::new());
        match self.engine.request(id, ticket.incarnation, stage.now(), &mut effects) {
            Ok(()) => self.settle(effects, stage),
            Err(refused) => self.refuse(replica, ticket, refused, stage),
        }
    }

    fn push(&mut self, replica: usize, push: &Push, gradient: &[f64], stage: &mut Stage) {
        let mut effects = Vec::new();
        let ticket = Ticket { generation: push.generation, incarnation: push.incarnation };
        let decision = self.engine.push(push, stage.now(), &mut effects);
        stage.note(&Fact::Decided { push, gradient, decision: &decision });
        let decision = match decision {
            Ok(decision) => decision,
            Err(refused) => {
                stage.check(&self.engine);
                return self.refuse(replica, ticket, refused, stage);
            }
        };
        if decision.repeated {
            stage.happened(Happening::Repeated);
            if decision.outcome.is_accepted() {
                stage.happened(Happening::RepeatedAccepted);
            }
        } else {
            self.store(replica, push, gradient, &decision.outcome, stage);
            self.next_piece(replica, push.sequence);
        }
        self.settle(effects, stage);
        let (sequence, outcome) = (push.sequence, decision.outcome);
        stage.send_answer(replica, &Answer::Pushed { ticket, sequence, outcome });
    }

    /// The replica is done with a piece of work; what is granted from now on is the next.
    fn next_piece(&mut self, replica: usize, done: u64) {
        let seat = &mut self.seats[replica];
        (seat.sequence, seat.grant) = (done + 1, None);
    }

    fn leave(&mut self, replica: usize, incarnation: Incarnation, stage: &mut Stage) {
        let (id, mut effects) = (ReplicaId::new(replica as u64), Vec::new());
        if self.engine.leave(id, incarnation, stage.now(), &mut effects) {
            stage.note(&Fact::Left { replica: id });
        }
        let seat = &mut self.seats[replica];
        (seat.live, seat.grant) = (false, None);
        self.settle(effects, stage);
    }

    fn ticket(&self, replica: usize) -> Ticket {
        let incarnation = self.seats[replica].incarnation;
        Ticket { generation: self.engine.generation(), incarnation }
    }

    /// Carries out what the engine answered, in its order, then has everything checked.
    fn settle(&mut self, effects: Vec<Effect>, stage: &mut Stage) {
        for effect in effects {
            stage.note(&Fact::Effect(&effect));
            self.carry_out(effect, stage);
        }
        stage.check(&self.engine);
    }
}
