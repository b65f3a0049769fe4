//! A replica's process: the real protocol, and a program's use of it.
//!
//! It waits, computes, pushes and waits again; the protocol decides what it says to which server. A
//! dead process's knowledge is gone.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cluster::driver::client::protocol::{
    Action, ConnectionId, Departure, ProtocolSettings, PushError, PushReport, ReplicaProtocol,
    Reply, Signal, WaitError, Work,
};
use cluster::driver::coordinator::{Ticket, Times};
use cluster::driver::index::VariableIndex;
use engine::{Grant, ReplicaId};
use sync_replicas::driver::CancellationSource;
use sync_replicas::{Cancellation, Snapshot};

use super::happenings::Happening;
use super::invariants::{Contributor, Fact, gradient};
use super::mix::ROWS;
use super::network::Line;
use super::servers::parameter_server::values;
use super::stage::{Event, Stage, ToReplica, ToServer};

mod sending;
mod standstill;

use sending::variables;

/// How much slower than the others a slow replica is.
pub(super) const SLOW: u32 = 4;

#[derive(Debug)]
pub(super) struct Process {
    /// Its place among all that ever were.
    index: usize,
    pub(super) replica: usize,
    slow: bool,
    protocol: ReplicaProtocol,
    pub(super) state: State,
    /// Counts what timers are for; one of an earlier state is void.
    stamp: u64,
    /// By server: the connection that is open or being opened.
    lines: Vec<Option<Line>>,
    /// By server: its part of the variables.
    copies: Vec<Option<Arc<Snapshot<f64>>>>,
    superseded: CancellationSource,
    /// Of the work under way.
    work: Option<Cancellation>,
    /// Events that came while it computed.
    incoming: Vec<(ConnectionId, ToReplica)>,
    /// The gradient that is pushed: its variables, and all elements.
    outgoing: (Vec<VariableIndex>, Vec<f64>),
    /// The last permission, and whose it is.
    granted: Option<(Ticket, Grant)>,
    /// The push under way, as it was sent.
    pub(super) pushing: Option<Contributor>,
    /// The last piece of work that it gave up.
    gave_up: Option<u64>,
    /// Pieces of work that are done, and known to be.
    pub(super) finished: u64,
    /// Events that came while it was paused.
    inbox: Vec<Event>,
    pub(super) paused: bool,
    /// It hangs in the batch that it computes.
    hung: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It is dead, or was refused for good.
    Down,
    Waiting,
    Computing(Grant),
    Pushing,
    Leaving,
    /// It left, and may come back.
    Away,
    /// It knows that training has ended.
    Done,
}

impl Process {
    pub(super) fn start(index: usize, replica: usize, slow: bool, stage: &mut Stage) -> Self {
        let (mix, servers) = (&stage.mix, stage.mix.servers);
        let settings = ProtocolSettings {
            replica: ReplicaId::new(replica as u64),
            // No two have the same, and the order of their numbers says nothing.
            process: (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            addresses: vec![String::new(); servers],
            reconnect_timeout: Duration::MAX,
            tell_superseded: mix.config.settings().tell_superseded,
            follows: false,
            all_bits: false,
        };
        let beat = mix.heartbeat;
        let mut process = Self {
            index,
            replica,
            slow,
            protocol: ReplicaProtocol::new(settings),
            state: State::Waiting,
            stamp: 0,
            lines: vec![None; servers],
            copies: vec![None; servers],
            superseded: CancellationSource::new(accum_core::GlobalStep::default()),
            work: None,
            incoming: Vec::new(),
            outgoing: Default::default(),
            granted: None,
            pushing: None,
            gave_up: None,
            finished: 0,
            inbox: Vec::new(),
            paused: false,
            hung: false,
        };
        stage.events.after(beat, Event::Beat { process: index });
        process.go_on(stage);
        process
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.state, State::Down | State::Away)
    }

    /// Whether it lives, and not for a moment only.
    pub(super) fn stays(&self) -> bool {
        self.is_live() && self.state != State::Leaving
    }

    /// Whether the coordinator knows of it, as far as it knows.
    pub(super) fn is_member(&self) -> bool {
        self.protocol.member().is_some()
    }

    /// Whether it has just given work up.
    pub(super) fn is_giving_up(&self) -> bool {
        self.protocol.member().is_some_and(|member| self.gave_up == Some(member.sequence))
    }

    /// All its knowledge is gone.
    pub(super) fn die(&mut self) {
        self.stamp += 1;
        self.state = State::Down;
        (self.paused, self.hung) = (false, false);
        self.inbox.clear();
    }

    /// It leaves cleanly, in the middle of whatever it does.
    pub(super) fn leave(&mut self, departure: Departure, stage: &mut Stage) {
        self.protocol.leave(departure, stage.now());
        self.state = State::Leaving;
        self.go_on(stage);
    }

    /// An event of a connection; its meaning for work under way takes effect at once.
    pub(super) fn receive(&mut self, line: Line, message: ToReplica, stage: &mut Stage) {
        let id = ConnectionId { server: line.server, number: line.number };
        if !self.is_live() || self.state == State::Done || !self.protocol.is_current(id) {
            return;
        }
        let signal = match &message {
            ToReplica::Reply(about, reply) => self.protocol.signal(*about, reply),
            _ => None,
        };
        if let Some(signal) = signal {
            signal.tell(&self.superseded);
        }
        self.incoming.push((id, message));
        if let State::Computing(_) = self.state {
            if !self.hung
                && signal.is_some()
                && self.work.as_ref().is_some_and(Cancellation::is_cancelled)
            {
                match signal {
                    Some(Signal::Advanced(_)) => stage.happened(Happening::ToldAdvanced),
                    Some(Signal::Superseded) => stage.happened(Happening::ToldSuperseded),
                    Some(Signal::Ended(_)) | None => {}
                }
                self.give_up(!matches!(signal, Some(Signal::Ended(_))), stage);
            }
        } else {
            self.go_on(stage);
        }
    }

    /// The model gives its work up, as told.
    fn give_up(&mut self, told: bool, stage: &mut Stage) {
        stage.happened(Happening::GaveUp);
        if let (Some((ticket, grant)), true) = (&self.granted, told) {
            stage.note(&Fact::Heeded { ticket: *ticket, grant });
        }
        self.state = State::Waiting;
        let mut actions = Vec::new();
        self.protocol.give_up(work(stage), stage.now(), &mut actions);
        self.carry_out(actions, stage);
        self.go_on(stage);
    }

    pub(super) fn computed(&mut self, stamp: u64, stage: &mut Stage) {
        let State::Computing(grant) = self.state.clone() else { return };
        if stamp != self.stamp {
            return;
        }
        self.hung = false;
        let elements = 0..stage.mix.variables * ROWS;
        let elements = elements.map(|element| gradient(grant.number, element)).collect();
        let variables = variables(stage);
        self.outgoing = (variables.clone(), elements);
        let report = PushReport { variables, loss: Some(1.0), examples: 1 };
        let (mut actions, now) = (Vec::new(), stage.now());
        self.pushing = None;
        let pushed = self.protocol.push(&grant, report, work(stage), now, &mut actions);
        self.state = if pushed.is_ok() { State::Pushing } else { State::Waiting };
        self.carry_out(actions, stage);
        self.go_on(stage);
    }

    pub(super) fn poll(&mut self, stamp: u64, stage: &mut Stage) {
        if stamp == self.stamp {
            self.go_on(stage);
        }
    }

    pub(super) fn beat(&mut self, stage: &mut Stage) {
        if self.is_live() && self.state != State::Done {
            if let (Some(member), Some(line)) = (self.protocol.member(), self.lines[0]) {
                stage.send_to_server(line, ToServer::Alive(member.ticket));
            }
            stage.events.after(stage.mix.heartbeat, Event::Beat { process: self.index });
        }
    }

    /// Takes the waiting events, and asks the protocol whether the awaited result is there.
    fn go_on(&mut self, stage: &mut Stage) {
        let (now, mut actions) = (stage.now(), Vec::new());
        for (id, message) in std::mem::take(&mut self.incoming) {
            self.take(id, message, now, &mut actions);
        }
        while self.goes_on(&mut actions, stage) {}
        self.carry_out(actions, stage);
        self.stamp += 1;
        if let State::Computing(grant) = &self.state {
            let told = stage.mix.config.settings().tell_superseded;
            self.work = Some(self.superseded.next(grant.local_step, told));
        }
        let (process, stamp) = (self.index, self.stamp);
        match self.state {
            State::Computing(_) => {
                let longest = stage.mix.compute.as_micros() as u64;
                let batch = Duration::from_micros(stage.dice.between(longest / 10, longest));
                let batch = if self.slow { batch * SLOW } else { batch };
                self.hung = stage.dice.chance(stage.mix.faults.hang);
                let batch = if self.hung { stage.dice.millis(500, 8000) } else { batch };
                if self.hung {
                    stage.happened(Happening::HungInBatch);
                }
                stage.events.after(batch, Event::Computed { process, stamp });
            }
            State::Waiting | State::Pushing | State::Leaving => {
                if let Some(at) = self.protocol.next_call() {
                    stage.events.at(at, Event::Poll { process, stamp });
                }
            }
            State::Down | State::Away | State::Done => self.hang_up(stage),
        }
    }

    fn take(
        &mut self,
        id: ConnectionId,
        message: ToReplica,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if !self.protocol.is_current(id) {
            return;
        }
        match message {
            ToReplica::Connected => self.protocol.connected(id),
            ToReplica::Failed(error) => self.protocol.failed(id, error, now),
            ToReplica::Lost => self.protocol.lost(id, actions),
            ToReplica::Values(values) => {
                let version = values.as_ref().map(|it| (it.generation, it.global_step));
                self.copies[id.server] = values;
                self.protocol.hold(id.server, version, 0);
            }
            ToReplica::Reply(about, reply) => {
                self.remember(about, &reply);
                self.protocol.receive(id, about, reply, now, actions);
            }
        }
    }

    /// A reply's meaning for the present piece of work, for the invariants.
    fn remember(&mut self, about: Option<Ticket>, reply: &Reply) {
        let Some(member) = self.protocol.member().filter(|it| about == Some(it.ticket)) else {
            return;
        };
        if let &Reply::GaveUp { sequence } = reply {
            self.finished += u64::from(sequence == member.sequence);
        }
        if let &Reply::Granted { sequence, local_step, share, number } = reply
            && sequence == member.sequence
        {
            let replica = ReplicaId::new(self.replica as u64);
            let incarnation = member.ticket.incarnation;
            let grant = Grant { replica, incarnation, local_step, share, number };
            self.granted = Some((member.ticket, grant));
        }
    }

    /// Asks the protocol once; whether that had an effect, so that it must be asked again.
    fn goes_on(&mut self, actions: &mut Vec<Action>, stage: &mut Stage) -> bool {
        let now = stage.now();
        match self.state {
            State::Waiting => match self.protocol.poll_step(now, actions) {
                Poll::Ready(Ok(Some(grant))) => {
                    self.note_start(&grant, stage);
                    self.state = State::Computing(grant);
                    false
                }
                Poll::Ready(Ok(None)) => {
                    self.state = State::Done;
                    false
                }
                Poll::Ready(Err(error)) => self.fails(&error, stage),
                Poll::Pending => false,
            },
            State::Pushing => match self.protocol.poll_push(now, actions) {
                Poll::Ready(result) => {
                    self.state = State::Waiting;
                    match (result, self.pushing.take()) {
                        (Ok(outcome), Some(by)) => {
                            self.finished += 1;
                            stage.note(&Fact::Acknowledged { by, outcome: &outcome });
                        }
                        (Ok(outcome), None) => {
                            let what = format!("{outcome:?} of what was never sent");
                            stage.never("F-7 what a replica was told is what happened", what);
                        }
                        (Err(PushError::Lost { .. }), _) => stage.happened(Happening::PushLost),
                        (Err(PushError::Wait(error)), _) => return self.fails(&error, stage),
                        (Err(PushError::Ended), _) => {}
                        (Err(error), _) => stage.never("a push is not refused", error),
                    }
                    true
                }
                Poll::Pending => false,
            },
            State::Leaving => {
                if self.protocol.poll_leave(now, actions).is_ready() {
                    self.state = State::Away;
                }
                false
            }
            State::Down | State::Computing(_) | State::Away | State::Done => false,
        }
    }

    fn fails(&mut self, error: &WaitError, stage: &mut Stage) -> bool {
        match error {
            WaitError::Overdue { .. } => return true,
            WaitError::Replaced { .. } => {
                stage.happened(Happening::Replaced);
                // If the holder of its place has died meanwhile, another is started.
                let (replica, soon) = (self.replica, stage.mix.compute);
                stage.events.after(soon, Event::Restart { replica });
            }
            error => stage.never("servers are in reach, and training does not fail", error),
        }
        self.state = State::Down;
        false
    }

    /// It computes from one whole step, not older than its permission.
    fn note_start(&mut self, grant: &Grant, stage: &mut Stage) {
        let placement = std::sync::Arc::clone(&stage.mix.placement);
        let mut elements = Vec::new();
        for (server, copy) in self.copies.iter().enumerate() {
            if let Some(copy) = copy {
                elements.extend(values(placement.parts(server), copy.variables.arrays()));
            }
        }
        let versions = self.copies.iter().flatten().map(|it| (it.generation, it.global_step));
        let versions: Vec<_> = versions.collect();
        stage.note(&Fact::Computes { grant, versions: &versions, elements: &elements });
    }
}

fn work(stage: &Stage) -> Work {
    Work { times: Times::default(), ended: stage.now() }
}
