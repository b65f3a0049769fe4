//! One run: servers, replicas, and first everything that can go wrong, then nothing.
//!
//! Three phases. Safety: faults happen, and no invariant may break. Liveness: all is repaired, and
//! within a stated time the step must advance and every live replica make progress. Ending: a stop,
//! which all must know at once.

use std::time::Duration;

use engine::ReplicaId;

use super::happenings::Happening;
use super::invariants::{Broken, ending, progress};
use super::mix::Faults;
use super::network::LATENCY_MAX;
use super::process::{Process, SLOW, State};
use super::servers::Servers;
use super::stage::{Event, Stage};

mod mischief;

/// More than any run needs; a run that comes so far goes round in circles.
const EVENTS_MAX: u64 = 1_000_000;
/// How many steps must be made once all is repaired.
const STEPS: i64 = 4;
/// How many pieces of work every live replica must finish then.
const PIECES: u64 = 2;
/// Until every process has noticed what broke, has looked for servers again, and has found them in
/// a new generation.
const MENDED: Duration = Duration::from_secs(10);
/// Until a last checkpoint is written, and processes that look for servers have found them.
const TOLD: Duration = Duration::from_secs(4);

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
    servers: Servers,
    /// All that ever were.
    processes: Vec<Process>,
    /// By replica: its newest process.
    newest: Vec<Option<usize>>,
    slow: Vec<bool>,
    phase: Phase,
    /// When the second phase began: the step, and what each replica had finished.
    healed: (i64, Vec<u64>),
    pub(super) events: u64,
}

impl World {
    pub(super) fn new(mut stage: Stage) -> Self {
        let replicas = stage.mix.config.total_num_replicas();
        let slow = (0..replicas).map(|_| stage.dice.chance(0.2)).collect();
        let mut world = Self {
            servers: Servers::new(&stage.mix),
            stage,
            processes: Vec::new(),
            newest: vec![None; replicas],
            slow,
            phase: Phase::Safety,
            healed: (0, Vec::new()),
            events: 0,
        };
        for server in 0..world.stage.mix.servers {
            world.servers.start(server, &mut world.stage);
        }
        for replica in 0..replicas {
            let late = world.stage.dice.exponential(Duration::from_millis(40));
            world.stage.events.after(late, Event::Restart { replica });
        }
        world.stage.events.after(world.stage.mix.safety, Event::Heal);
        world.stage.events.after(world.stage.mix.faults.every, Event::Mischief);
        world
    }

    /// Runs to the end, or to the first invariant that breaks.
    pub(super) fn run(&mut self) {
        while self.phase != Phase::Over && self.stage.broken.is_none() {
            let Some(event) = self.stage.events.next() else { break };
            self.events += 1;
            if self.events > EVENTS_MAX {
                let what = format!("{EVENTS_MAX} events came, and no end");
                self.stage.fail(Broken { invariant: progress::NAME, what });
            }
            self.stage.trace.line(self.stage.events.now(), format_args!("{event:?}"));
            self.handle(event);
            if self.phase == Phase::Safety && self.is_ending() {
                self.heal();
            }
            if self.phase == Phase::Liveness && (self.is_well() || self.is_ending()) {
                self.end_training();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let process = match &event {
            Event::ToReplica(line, _) => Some(line.process),
            Event::Poll { process, .. }
            | Event::Computed { process, .. }
            | Event::Beat { process } => Some(*process),
            _ => None,
        };
        let process = process.map(|process| &mut self.processes[process]);
        if let Some(process) = process
            && process.paused
        {
            return process.keep(event);
        }
        let (servers, stage) = (&mut self.servers, &mut self.stage);
        match event {
            Event::ToServer(line, message) => {
                let replica = self.processes[line.process].replica;
                servers.receive((replica, line), message, stage);
            }
            Event::ToReplica(line, message) => {
                self.processes[line.process].receive(line, message, stage);
            }
            Event::Copy { replica, request } => {
                stage.happened(Happening::Doubled);
                servers.request(replica, request, stage);
            }
            Event::Poll { process, stamp } => self.processes[process].poll(stamp, stage),
            Event::Computed { process, stamp } => self.processes[process].computed(stamp, stage),
            Event::Beat { process } => self.processes[process].beat(stage),
            Event::Order { server, lives, order } => servers.ordered(server, lives, order, stage),
            Event::Done { server, lives, done } => servers.done(server, lives, done, stage),
            Event::StartChief(begun) => servers.start_chief(begun, stage),
            Event::Tick(begun) => servers.tick(begun, stage),
            Event::Save(begun) => servers.request_save(begun, stage),
            Event::Durable { leader, state } => servers.durable(leader, *state, stage),
            Event::ServerRestart { server } => servers.start(server, stage),
            Event::Restart { replica } => self.restart(replica),
            Event::Resume { process } => self.resume(process),
            Event::Mischief => self.mischief(),
            Event::Heal => self.heal(),
            Event::Deadline { phase } => self.deadline(phase),
        }
    }

    /// The newest process of each replica.
    fn present(&self) -> impl Iterator<Item = &Process> {
        self.newest.iter().flatten().map(|&process| &self.processes[process])
    }

    fn newest(&self, replica: usize) -> Option<&Process> {
        self.newest[replica].map(|process| &self.processes[process])
    }

    fn is_ending(&self) -> bool {
        self.servers.leader.as_ref().is_some_and(|leader| leader.ending.is_some())
    }

    /// Starts a process of a replica, unless one lives.
    fn restart(&mut self, replica: usize) {
        let newest = self.newest(replica);
        if newest.is_some_and(Process::is_live) || self.phase > Phase::Liveness {
            return;
        }
        if newest.is_some_and(|process| process.state == State::Away) {
            self.stage.happened(Happening::CameBack);
        }
        self.start(replica);
    }

    fn start(&mut self, replica: usize) {
        let index = self.processes.len();
        self.newest[replica] = Some(index);
        let process = Process::start(index, replica, self.slow[replica], &mut self.stage);
        self.processes.push(process);
    }

    fn resume(&mut self, process: usize) {
        for event in self.processes[process].resume() {
            self.stage.events.after(Duration::ZERO, event);
        }
    }

    /// The end of all faults: every process that should live lives from now on.
    fn heal(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        self.stage.mix.faults = Faults::none();
        self.stage.network.heal();
        for server in 0..self.stage.mix.servers {
            self.servers.start(server, &mut self.stage);
        }
        for process in 0..self.processes.len() {
            self.resume(process);
            self.processes[process].come_to(&mut self.stage);
        }
        self.end_earlier();
        for replica in 0..self.newest.len() {
            if self.stage.dice.chance(0.5) {
                self.restart(replica);
            }
        }
        if !self.present().any(Process::stays) {
            // A replica that has just said that it leaves comes back at once: one is alive.
            self.newest[0] = None;
            self.restart(0);
        }
        self.phase = Phase::Liveness;
        let finished = self.finished();
        self.healed = (self.servers.step(), finished);
        let bound = self.bound();
        self.stage.events.after(bound, Event::Deadline { phase: Phase::Liveness as u64 });
    }

    /// By replica: pieces of work that its newest process has finished.
    fn finished(&self) -> Vec<u64> {
        let finished = |replica| self.newest(replica).map_or(0, |process| process.finished);
        (0..self.newest.len()).map(finished).collect()
    }

    /// How long [`STEPS`] steps and [`PIECES`] pieces of every replica's work may take: a time
    /// until all is repaired, two leases, for tokens of dead and absent replicas; and rounds of
    /// work, each no longer than the slowest. In one round all W live replicas use one token each,
    /// and before a step closes its A gradients come, and the tokens left from earlier steps are
    /// used up.
    fn bound(&self) -> Duration {
        let (mix, config) = (&self.stage.mix, &self.stage.mix.config);
        let live = self.present().filter(|process| process.stays()).count().max(1) as u64;
        let tokens = |it: &super::servers::Leader| it.coordinator.engine().num_tokens() as u64;
        let queued = self.servers.leader.as_ref().map_or(0, tokens);
        let (per_step, replicas) = (config.tokens_per_step() as u64, self.newest.len() as u64);
        let rounds = |tokens: u64| tokens.div_ceil(live) + 2;
        let first = rounds(queued + per_step + replicas);
        let later = rounds(2 * per_step + replicas) * (STEPS as u64 + PIECES);
        let round = mix.compute * SLOW + mix.update + 12 * LATENCY_MAX;
        let lease = config.settings().lease.unwrap_or_default();
        MENDED + 2 * lease + round * u32::try_from(first + later).unwrap_or(u32::MAX)
    }

    /// Whether the goals of the second phase are reached.
    fn is_well(&self) -> bool {
        let (step, finished) = &self.healed;
        let stays = |replica: usize| self.newest(replica).is_some_and(Process::stays);
        let mut now = self.finished().into_iter().zip(finished).enumerate();
        self.servers.step() >= step + STEPS
            && now.all(|(replica, (now, before))| !stays(replica) || now >= before + PIECES)
    }

    fn end_training(&mut self) {
        self.phase = Phase::Ending;
        self.servers.stop(&mut self.stage);
        self.stage.events.after(TOLD, Event::Deadline { phase: Phase::Ending as u64 });
    }

    fn deadline(&mut self, phase: u64) {
        if phase != self.phase as u64 {
            return;
        }
        if self.phase == Phase::Liveness {
            let is_dead = |replica: ReplicaId| {
                !self.newest(replica.get() as usize).is_some_and(Process::is_live)
            };
            if self.stage.witnesses.hang_law.allows_a_hang(is_dead) {
                self.stage.happened(Happening::Hung);
            } else {
                let what = format!(
                    "{:?} after the end of all faults step {} was reached, {:?} pieces of work \
                     were finished; at the end of the faults they were {:?}",
                    self.bound(),
                    self.servers.step(),
                    self.finished(),
                    self.healed
                );
                self.stage.fail(Broken { invariant: progress::NAME, what });
            }
            return self.end_training();
        }
        let unaware = self.processes.iter();
        let unaware = unaware.filter(|process| process.is_live() && process.state != State::Done);
        let unaware: Vec<_> = unaware.map(|it| ReplicaId::new(it.replica as u64)).collect();
        if let Some(leader) = &self.servers.leader
            && let Err(broken) = ending::judge(
                leader.coordinator.engine(),
                self.stage.now(),
                leader.updating > 0,
                &unaware,
            )
        {
            self.stage.fail(broken);
        }
        self.phase = Phase::Over;
    }
}
