//! What server and replicas act on: the clock, the network, the dice, and those who watch.
//!
//! Everything that happens goes through here, so the trace has all of it and the invariants see
//! all of it.

use std::time::Duration;

use engine::Engine;

use super::dice::Dice;
use super::happenings::{Happening, Happenings};
use super::invariants::{Broken, Fact, Witnesses};
use super::message::{Answer, Request};
use super::mix::Mix;
use super::network::{Direction, Network};
use super::server::Saved;
use super::trace::Trace;
use simulator::Agenda;

/// Something that is to happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    ToServer {
        replica: usize,
        request: Request,
    },
    ToReplica {
        replica: usize,
        answer: Answer,
    },
    /// No answer came; `stamp` says for which state of the replica this was put down.
    Retry {
        replica: usize,
        stamp: u64,
    },
    Computed {
        replica: usize,
        stamp: u64,
    },
    Beat {
        replica: usize,
        stamp: u64,
    },
    Restart {
        replica: usize,
    },
    Resume {
        replica: usize,
    },
    /// The chief has updated a lane; `epoch` is the life of the server.
    Applied {
        epoch: u64,
        lane: usize,
    },
    StartChief {
        epoch: u64,
    },
    Tick {
        epoch: u64,
    },
    Save {
        epoch: u64,
    },
    Durable {
        epoch: u64,
        saved: Saved,
    },
    ServerRestart,
    Mischief,
    /// The end of the faults.
    Heal,
    /// The end of the phase that is running.
    Deadline {
        phase: u64,
    },
}

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) agenda: Agenda<Event>,
    pub(super) dice: Dice,
    pub(super) mix: Mix,
    pub(super) network: Network,
    pub(super) happenings: Happenings,
    pub(super) trace: Trace,
    pub(super) witnesses: Witnesses,
    /// The first invariant that broke ends the run.
    pub(super) broken: Option<Broken>,
}

impl Stage {
    pub(super) fn now(&self) -> Duration {
        self.agenda.now()
    }

    pub(super) fn happened(&mut self, happening: Happening) {
        self.happenings.add(happening);
    }

    pub(super) fn send_request(&mut self, replica: usize, request: &Request) {
        for arrival in self.arrivals((replica, Direction::ToServer)) {
            self.agenda.at(arrival, Event::ToServer { replica, request: request.clone() });
        }
    }

    pub(super) fn send_answer(&mut self, replica: usize, answer: &Answer) {
        for arrival in self.arrivals((replica, Direction::ToReplica)) {
            self.agenda.at(arrival, Event::ToReplica { replica, answer: answer.clone() });
        }
    }

    fn arrivals(&mut self, link: (usize, Direction)) -> impl Iterator<Item = Duration> + use<> {
        let now = self.agenda.now();
        let faults = &self.mix.faults;
        self.network.arrivals(link, now, faults, &mut self.dice, &mut self.happenings)
    }

    /// Shows the invariants what happened.
    pub(super) fn note(&mut self, fact: &Fact<'_>) {
        let now = self.now();
        self.trace.line(now, format_args!("    {fact:?}"));
        if let Err(broken) = self.witnesses.observe(now, fact) {
            self.fail(broken);
        }
    }

    /// After each event of the engine: its own check, and its books.
    pub(super) fn check(&mut self, engine: &Engine) {
        if let Err(what) = engine.validate() {
            self.fail(Broken { invariant: "the engine's own invariants", what });
        }
        self.note(&Fact::Books { ledger: engine.ledger(), queued: engine.num_tokens() as u64 });
    }

    pub(super) fn fail(&mut self, broken: Broken) {
        self.trace.line(self.agenda.now(), format_args!("BROKEN {broken}"));
        self.broken.get_or_insert(broken);
    }
}
