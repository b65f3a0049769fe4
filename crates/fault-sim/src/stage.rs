//! The stage of servers and replicas: the clock, the network, the dice, and the observers.
//!
//! Everything that happens goes through here, so the trace has all of it and the invariants see
//! all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::driver::client::protocol::{ConnectError, Hello, Reply, Request};
use cluster::driver::coordinator::{ShardCommand, Ticket};
use cluster::driver::index::VariableIndex;
use cluster::driver::shard::{Section, ShardState};
use engine::{Engine, Generation};
use simulator::EventQueue;
use sync_replicas::Snapshot;
use sync_replicas::checkpoint::TrainingState;

use super::dice::Dice;
use super::happenings::{Happening, Happenings};
use super::invariants::{Broken, Contributor, Fact, Witnesses};
use super::mix::Mix;
use super::network::{Direction, LATENCY_MAX, Line, Network, Passage};
use super::trace::Trace;

/// How far a copy of a request is behind, on average: far enough to meet its sender's next life.
const COPY: Duration = Duration::from_millis(300);

/// From a replica, over a connection.
#[derive(Clone, Debug)]
pub(super) enum ToServer {
    Hello(Hello),
    Request(Request),
    /// A contribution's data is to come: these sections.
    Begin {
        ticket: Ticket,
        sequence: u64,
        sections: Vec<Section>,
    },
    /// The bytes of one of them.
    Chunk {
        section: usize,
        bytes: Vec<u8>,
    },
    Alive(Ticket),
    /// It is over.
    Closed,
}

/// From a server, over a connection.
#[derive(Clone, Debug)]
pub(super) enum ToReplica {
    Connected,
    Failed(ConnectError),
    /// An answer, about the life of a ticket if it is about one.
    Reply(Option<Ticket>, Reply),
    /// Variables are on their way, and then all there.
    Values(Option<Arc<Snapshot<f64>>>),
    Lost,
}

/// From the leader to another server; in order, and never lost while both live.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Command(ShardCommand),
    /// Send the state as of now, for the checkpoint of this number.
    Save(u64),
    Begin {
        state: Option<Box<ShardState<f64>>>,
        generation: Generation,
        global_step: accum_core::GlobalStep,
        secret: u64,
    },
    End(cluster::driver::client::protocol::Ended),
}

/// The result of an order.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Applied(Option<VariableIndex>),
    State(u64, Box<ShardState<f64>>),
    Begun(Generation),
    /// Of no order: the server has started.
    Started,
}

/// Something that is to happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    ToServer(Line, ToServer),
    ToReplica(Line, ToReplica),
    /// An earlier request, once more.
    Copy {
        replica: usize,
        request: Request,
    },
    /// A replica's protocol asks to be polled again; `stamp` says for which wait.
    Poll {
        process: usize,
        stamp: u64,
    },
    Computed {
        process: usize,
        stamp: u64,
    },
    Beat {
        process: usize,
    },
    Restart {
        replica: usize,
    },
    Resume {
        process: usize,
    },
    /// `lives` are those of the leader and of the server.
    Order {
        server: usize,
        lives: (u64, u64),
        order: Order,
    },
    Done {
        server: usize,
        lives: (u64, u64),
        done: Done,
    },
    /// The rest is void once another generation was begun.
    StartChief(u64),
    Tick(u64),
    Save(u64),
    Durable {
        leader: u64,
        state: Box<TrainingState<f64>>,
    },
    ServerRestart {
        server: usize,
    },
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
    pub(super) events: EventQueue<Event>,
    pub(super) dice: Dice,
    pub(super) mix: Mix,
    pub(super) network: Network,
    pub(super) happenings: Happenings,
    pub(super) trace: Trace,
    pub(super) witnesses: Witnesses,
    /// What was pushed: one number for each element.
    pub(super) sent: BTreeMap<Contributor, Vec<f64>>,
    /// The elements of the variables as their servers showed them last.
    pub(super) shown: Vec<f64>,
    /// The first invariant that broke ends the run.
    pub(super) broken: Option<Broken>,
}

impl Stage {
    pub(super) fn now(&self) -> Duration {
        self.events.now()
    }

    pub(super) fn happened(&mut self, happening: Happening) {
        self.happenings.add(happening);
    }

    /// Over a connection to its server.
    pub(super) fn send_to_server(&mut self, line: Line, message: ToServer) {
        let passage = self.passage(line, Direction::ToServer);
        self.arrive(line, passage, || Event::ToServer(line, message));
    }

    /// Over a connection to its replica.
    pub(super) fn send_to_replica(&mut self, line: Line, message: ToReplica) {
        let passage = self.passage(line, Direction::ToReplica);
        self.arrive(line, passage, || Event::ToReplica(line, message));
    }

    /// A request that has come to the coordinator may come once more, and late.
    pub(super) fn copy(&mut self, replica: usize, request: &Request) {
        if self.dice.chance(self.mix.faults.duplication) {
            let behind = LATENCY_MAX + self.dice.exponential(COPY);
            self.events.after(behind, Event::Copy { replica, request: request.clone() });
        }
    }

    /// A connection breaks.
    pub(super) fn break_off(&mut self, line: Line) {
        let passage = self.network.break_off(line, self.events.now(), &mut self.dice);
        self.arrive(line, passage, || Event::Mischief);
    }

    /// When something arrives that another server sends now.
    pub(super) fn slow_way(&mut self) -> Duration {
        let way = self.dice.between(0, LATENCY_MAX.as_micros() as u64);
        let delay = self.dice.exponential(self.mix.faults.delay);
        self.now() + Duration::from_micros(way) + delay
    }

    /// How long an update takes.
    pub(super) fn update(&mut self) -> Duration {
        Duration::from_micros(self.dice.between(0, self.mix.update.as_micros() as u64))
    }

    fn passage(&mut self, line: Line, direction: Direction) -> Passage {
        let (now, faults) = (self.events.now(), &self.mix.faults);
        let way = (line, direction);
        self.network.send(way, now, faults, &mut self.dice, &mut self.happenings)
    }

    fn arrive(&mut self, line: Line, passage: Passage, event: impl FnOnce() -> Event) {
        match passage {
            Passage::Arrives(at) => self.events.at(at, event()),
            Passage::Breaks(server, replica) => {
                self.events.at(server, Event::ToServer(line, ToServer::Closed));
                self.events.at(replica, Event::ToReplica(line, ToReplica::Lost));
            }
            Passage::Lost => {}
        }
    }

    /// Shows the invariants what happened.
    pub(super) fn note(&mut self, fact: &Fact<'_>) {
        let now = self.now();
        self.trace.line(now, format_args!("    {fact:?}"));
        if let Err(broken) = self.witnesses.observe(now, fact) {
            self.fail(broken);
        }
    }

    /// After what the engine was told: its own check, and its books.
    pub(super) fn check(&mut self, engine: &Engine) {
        if let Err(what) = engine.validate() {
            self.fail(Broken { invariant: "the engine's own invariants", what });
        }
        self.note(&Fact::Books { ledger: engine.ledger(), queued: engine.num_tokens() as u64 });
    }

    /// Something that never happens where all is well.
    pub(super) fn never(&mut self, invariant: &'static str, what: impl std::fmt::Display) {
        self.fail(Broken { invariant, what: what.to_string() });
    }

    pub(super) fn fail(&mut self, broken: Broken) {
        self.trace.line(self.events.now(), format_args!("BROKEN {broken}"));
        self.broken.get_or_insert(broken);
    }
}
