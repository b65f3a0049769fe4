//! One run: a server, its replicas, and first everything that can go wrong, then nothing.
//!
//! Three phases. Safety: faults happen, nothing is asked but that no invariant breaks. Liveness:
//! all is healed, and within a stated time the step must advance and every live replica make
//! progress. Ending: a stop, of which all must know at once.

use std::time::Duration;

use engine::ReplicaId;

use super::client::{Client, SLOW, State};
use super::happenings::Happening;
use super::invariants::{Broken, Fact, ending, progress};
use super::mix::Faults;
use super::network::LATENCY_MAX;
use super::server::{Saved, Server};
use super::stage::{Event, Stage};

mod mischief;

/// More than any run needs; one that comes so far goes round in circles.
const EVENTS_MAX: u64 = 500_000;
/// How many steps must be made once all is healed.
const STEPS: i64 = 4;
/// How many pieces of work every live replica must finish then.
const PIECES: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Safety,
    Liveness,
    Ending,
    Over,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) stage: Stage,
    server: Option<Server>,
    epoch: u64,
    disk: Option<Saved>,
    /// Whether a checkpoint is being written.
    saving: bool,
    clients: Vec<Client>,
    phase: Phase,
    /// When the second phase began: the step, and what each replica had finished.
    healed: (i64, Vec<u64>),
    pub(super) events: u64,
}

impl World {
    pub(super) fn new(mut stage: Stage) -> Self {
        let replicas = stage.mix.config.total_num_replicas();
        let clients = (0..replicas).map(|id| Client::new(id, stage.dice.chance(0.2))).collect();
        let mut world = Self {
            stage,
            server: None,
            epoch: 0,
            disk: None,
            saving: false,
            clients,
            phase: Phase::Safety,
            healed: (0, Vec::new()),
            events: 0,
        };
        world.start_server();
        for replica in 0..replicas {
            let late = world.stage.dice.exponential(Duration::from_millis(40));
            world.stage.agenda.after(late, Event::Restart { replica });
        }
        world.stage.agenda.after(world.stage.mix.safety, Event::Heal);
        world.stage.agenda.after(world.stage.mix.faults.every, Event::Mischief);
        world
    }

    /// Runs to the end, or to the first invariant that breaks.
    pub(super) fn run(&mut self) {
        while self.phase != Phase::Over && self.stage.broken.is_none() {
            let Some(event) = self.stage.agenda.next() else { break };
            self.events += 1;
            if self.events > EVENTS_MAX {
                let what = format!("{EVENTS_MAX} events came, and no end");
                self.stage.fail(Broken { invariant: progress::NAME, what });
            }
            self.stage.trace.line(self.stage.agenda.now(), format_args!("{event:?}"));
            self.handle(event);
            if self.phase == Phase::Liveness && self.is_well() {
                self.end_training();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let replica = match event {
            Event::ToReplica { replica, .. }
            | Event::Retry { replica, .. }
            | Event::Computed { replica, .. }
            | Event::Beat { replica, .. } => Some(replica),
            _ => None,
        };
        if let Some(client) = replica.map(|replica| &mut self.clients[replica])
            && client.paused
        {
            return client.keep(event);
        }
        let stage = &mut self.stage;
        let epoch = self.epoch;
        match event {
            Event::ToServer { replica, request } => {
                if let Some(server) = &mut self.server {
                    server.receive(replica, request, stage);
                }
            }
            Event::ToReplica { replica, answer } => self.clients[replica].receive(answer, stage),
            Event::Retry { replica, stamp } => self.clients[replica].retry(stamp, stage),
            Event::Computed { replica, stamp } => self.clients[replica].computed(stamp, stage),
            Event::Beat { replica, stamp } => self.clients[replica].beat(stamp, stage),
            Event::Restart { replica } => self.restart(replica),
            Event::Resume { replica } => self.resume(replica),
            Event::ServerRestart => self.start_server(),
            Event::Mischief => self.mischief(),
            Event::Heal => self.heal(),
            Event::Deadline { phase } => self.deadline(phase),
            Event::Applied { epoch: of, lane } => {
                if let Some(server) = self.server.as_mut().filter(|_| of == epoch) {
                    server.applied(lane, stage);
                }
            }
            Event::StartChief { epoch: of } => {
                if let Some(server) = self.server.as_mut().filter(|_| of == epoch) {
                    server.start_chief(stage);
                }
            }
            Event::Tick { epoch: of } => {
                if let Some(server) = self.server.as_mut().filter(|_| of == epoch) {
                    server.tick(stage);
                }
            }
            Event::Save { epoch: of } => self.save(of),
            Event::Durable { epoch: of, saved } => self.saved(of, saved),
        }
    }

    fn start_server(&mut self) {
        if self.server.is_some() {
            return;
        }
        if self.disk.is_some() {
            self.stage.happened(Happening::Restored);
        }
        self.epoch += 1;
        let server = Server::start(self.disk.as_ref(), self.epoch, &mut self.stage);
        // Before it serves anybody its generation is on disk, so that the next life cannot take the
        // same number (P-9).
        self.disk = Some(Saved { generation: server.engine.generation(), ..server.save() });
        self.server = Some(server);
        self.saving = false;
    }

    /// A checkpoint, without stopping the steps: a copy now, on disk a while later.
    fn save(&mut self, epoch: u64) {
        let Some(server) = self.server.as_ref().filter(|server| server.epoch == epoch) else {
            return;
        };
        let saved = server.save();
        self.saving = true;
        let writing = self.stage.dice.millis(1, 60);
        self.stage.agenda.after(writing, Event::Durable { epoch, saved });
        self.stage.agenda.after(self.stage.mix.checkpoint + writing, Event::Save { epoch });
    }

    fn saved(&mut self, epoch: u64, saved: Saved) {
        if epoch != self.epoch || self.server.is_none() {
            return;
        }
        self.saving = false;
        self.stage.happened(Happening::Saved);
        let (global_step, variables) = (saved.global_step, &saved.variables);
        self.stage.note(&Fact::Saved { global_step, variables });
        self.disk = Some(saved);
    }

    fn restart(&mut self, replica: usize) {
        let client = &mut self.clients[replica];
        if client.is_live() || self.phase > Phase::Liveness {
            return;
        }
        if client.state == State::Away {
            self.stage.happened(Happening::CameBack);
        }
        client.join(&mut self.stage);
    }

    fn resume(&mut self, replica: usize) {
        for event in self.clients[replica].resume() {
            self.stage.agenda.after(Duration::ZERO, event);
        }
    }

    /// The end of all faults: whoever is to live lives from now on.
    fn heal(&mut self) {
        self.stage.mix.faults = Faults::none();
        self.stage.network.heal();
        self.start_server();
        for replica in 0..self.clients.len() {
            self.resume(replica);
            if self.stage.dice.chance(0.5) {
                self.restart(replica);
            }
        }
        if !self.clients.iter().any(Client::is_live) {
            self.restart(0);
        }
        // Nobody leaves any more, and who has just said so comes back at once: somebody lives.
        let left = self.stage.mix.retry + 4 * LATENCY_MAX;
        for (replica, client) in self.clients.iter_mut().enumerate() {
            client.stay();
            if client.is_leaving() {
                self.stage.agenda.after(left, Event::Restart { replica });
            }
        }
        self.phase = Phase::Liveness;
        let finished = self.clients.iter().map(|client| client.finished).collect();
        self.healed = (self.step(), finished);
        let bound = self.bound();
        self.stage.agenda.after(bound, Event::Deadline { phase: Phase::Liveness as u64 });
    }

    /// How long [`STEPS`] steps and [`PIECES`] pieces of everybody's work may take: two leases,
    /// for tokens of the dead and of those who never come; and rounds of work, each no longer than
    /// the slowest. In one round all W live replicas use one token each, and before a step closes
    /// its A gradients come, and the tokens that are left from earlier steps are used up.
    fn bound(&self) -> Duration {
        let (mix, config) = (&self.stage.mix, &self.stage.mix.config);
        let live = self.clients.iter().filter(|client| client.is_live()).count().max(1) as u64;
        let queued = self.server.as_ref().map_or(0, |server| server.engine.num_tokens()) as u64;
        let (per_step, replicas) = (config.tokens_per_step() as u64, self.clients.len() as u64);
        let rounds = |tokens: u64| tokens.div_ceil(live) + 2;
        let first = rounds(queued + per_step + replicas);
        let later = rounds(2 * per_step + replicas) * (STEPS as u64 + PIECES);
        let round = mix.compute * SLOW + mix.update + mix.retry + 6 * LATENCY_MAX;
        let lease = config.settings().lease.unwrap_or_default();
        2 * lease + round * u32::try_from(first + later).unwrap_or(u32::MAX)
    }

    fn step(&self) -> i64 {
        self.server.as_ref().map_or(0, |server| server.engine.global_step().get())
    }

    /// Whether all that the second phase asks for has come.
    fn is_well(&self) -> bool {
        let (step, finished) = &self.healed;
        let mut live = self.clients.iter().zip(finished).filter(|(client, _)| client.is_live());
        self.step() >= step + STEPS
            && live.all(|(client, finished)| client.finished >= finished + PIECES)
    }

    fn end_training(&mut self) {
        self.phase = Phase::Ending;
        if let Some(server) = &mut self.server {
            server.stop(&mut self.stage);
        }
        // One message's way to those who have joined; the others learn it from their next request.
        // Some only hear that they must join again, and are told then.
        let told = self.stage.mix.retry + 4 * LATENCY_MAX;
        self.stage.agenda.after(told, Event::Deadline { phase: Phase::Ending as u64 });
    }

    fn deadline(&mut self, phase: u64) {
        if phase != self.phase as u64 {
            return;
        }
        if self.phase == Phase::Liveness {
            let is_dead = |replica: ReplicaId| !self.clients[replica.get() as usize].is_live();
            if self.stage.witnesses.hang_law.allows_a_hang(is_dead) {
                self.stage.happened(Happening::Hung);
            } else {
                let finished: Vec<_> = self.clients.iter().map(|it| it.finished).collect();
                let what = format!(
                    "{:?} after the end of all faults step {} was reached, {finished:?} pieces of \
                     work were finished; at the end of the faults they were {:?}",
                    self.bound(),
                    self.step(),
                    self.healed
                );
                self.stage.fail(Broken { invariant: progress::NAME, what });
            }
            return self.end_training();
        }
        let member = |id| self.server.as_ref().is_some_and(|server| server.is_member(id));
        let unaware = self.clients.iter().enumerate();
        // Who is wrongly taken for dead computes on, and asks when the batch is done.
        let asks_later = |id, client: &Client| client.ticket.is_some() && !member(id);
        let unaware = unaware.filter(|&(id, client)| {
            client.is_live() && client.state != State::Done && !asks_later(id, client)
        });
        let unaware: Vec<_> = unaware.map(|(id, _)| ReplicaId::new(id as u64)).collect();
        if let Some(server) = &self.server
            && let Err(broken) =
                ending::judge(&server.engine, self.stage.now(), &server.updating, &unaware)
        {
            self.stage.fail(broken);
        }
        self.phase = Phase::Over;
    }
}
