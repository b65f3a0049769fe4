//! All parameter servers, the leader among them, and the disk.
//!
//! Carries the coordinator's decisions to the shards, in one order, and to the replicas, and the
//! shards' answers back. It decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use accum_core::GlobalStep;
use cluster::driver::client::protocol::{Ended, Reply};
use cluster::driver::coordinator::{Coordinator, CoordinatorSettings, ShardCommand};
use cluster::driver::index::VariableIndex;
use engine::{Generation, ReplicaId, StopReason};
use sync_replicas::checkpoint::TrainingState;

use super::mix::Mix;
use super::network::LATENCY_MAX;
use super::stage::{Done, Event, Order, Stage};

mod generations;
mod observed;
pub(super) mod parameter_server;
mod replicas;
mod saving;

use generations::Beginning;
use parameter_server::ParameterServer;
use saving::Gathering;

/// How often the clock is read at least.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Servers {
    /// By index, number 0 has the leader; `None` while it is dead.
    pub(super) all: Vec<Option<ParameterServer>>,
    pub(super) leader: Option<Leader>,
    /// How many processes of servers have started.
    started: u64,
    /// How many generations were begun; what was queued in an earlier one is void.
    begun: u64,
    disk: Disk,
}

/// The coordinator, and what is needed to act for it.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) coordinator: Coordinator,
    /// Its life.
    life: u64,
    /// All shards are in the coordinator's generation.
    pub(super) serving: bool,
    /// A generation is needed.
    stale: bool,
    beginning: Option<Beginning>,
    /// By lane: its variable, where each has its own.
    lanes: Vec<usize>,
    /// The replicas that kept their tokens beyond their leases.
    late: BTreeSet<ReplicaId>,
    /// By server: whether it has been given orders since it started, and when the last one comes,
    /// and its last answer.
    links: Vec<(bool, Duration, Duration)>,
    pub(super) gathering: Option<Gathering>,
    /// How many updates were ordered, and how many of them are on disk.
    updates: u64,
    on_disk: Option<u64>,
    /// How many updates are under way on other servers.
    pub(super) updating: usize,
    pub(super) ending: Option<Ended>,
}

/// What outlives every process.
#[derive(Debug, Default)]
struct Disk {
    saved: Option<TrainingState<f64>>,
    /// The newest generation that was begun.
    claimed: Generation,
}

impl Servers {
    pub(super) fn new(mix: &Mix) -> Self {
        let all = (0..mix.servers).map(|_| None).collect();
        Self { all, leader: None, started: 0, begun: 0, disk: Disk::default() }
    }

    /// A server's process starts, that of number 0 with the leader.
    pub(super) fn start(&mut self, server: usize, stage: &mut Stage) {
        if self.all[server].is_some() {
            return;
        }
        self.started += 1;
        let life = self.started;
        match ParameterServer::start(server, life, &stage.mix) {
            Ok(started) => self.all[server] = Some(started),
            Err(error) => return stage.never("the mix fits together", error),
        }
        if server == 0 {
            let leader = Leader::start(life, &stage.mix);
            self.all.iter_mut().flatten().take(1).for_each(|own| own.secret = life);
            self.leader = Some(leader);
            self.begin_generation(stage);
        } else if let Some(leader) = &mut self.leader {
            let lives = (leader.life, life);
            let late = LATENCY_MAX;
            stage.events.after(late, Event::Done { server, lives, done: Done::Started });
        }
    }

    /// A server's process dies.
    pub(super) fn crash(&mut self, server: usize, stage: &mut Stage) -> bool {
        if self.all[server].take().is_none() {
            return false;
        }
        for line in stage.network.lines(|line| line.server == server) {
            stage.break_off(line);
        }
        if server == 0 {
            self.begun += 1;
            self.leader = None;
        } else if let Some(leader) = &mut self.leader {
            leader.links[server] = Default::default();
        }
        true
    }

    /// The step that is known to be on disk.
    pub(super) fn saved_step(&self) -> GlobalStep {
        self.disk.saved.as_ref().map(|saved| saved.global_step).unwrap_or_default()
    }

    pub(super) fn step(&self) -> i64 {
        self.leader.as_ref().map_or(0, |leader| leader.coordinator.global_step().get())
    }

    /// Carries out the coordinator's actions: commands to all shards in their order, then answers
    /// to replicas.
    fn act(&mut self, stage: &mut Stage) {
        loop {
            self.note_observed(stage);
            let Some(leader) = &mut self.leader else { return };
            let actions = leader.coordinator.take_actions();
            if actions.is_empty() {
                return;
            }
            for command in &actions.commands {
                self.command(command, stage);
            }
            let Some(own) = &self.all[0] else { return };
            for (replica, ticket, answer) in actions.answers {
                self.note_answer((replica, ticket), &answer, stage);
                own.tell(replica.get() as usize, Some(ticket), answer.into(), stage);
            }
            for made in actions.made {
                for replica in &actions.in_vain {
                    own.tell(replica.get() as usize, None, Reply::Advanced(made), stage);
                }
            }
            if let Some(reason) = actions.ended {
                self.end(reason, stage);
            }
        }
    }

    fn command(&mut self, command: &ShardCommand, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        if let ShardCommand::Apply { .. } = command {
            leader.updates += 1;
            leader.updating += self.all.len() - 1;
        }
        for server in 1..self.all.len() {
            self.order(server, Order::Command(command.clone()), stage);
        }
        let Some(own) = &mut self.all[0] else { return };
        if let Some(applied) = own.carry_out(command, stage) {
            self.applied(applied.variable, stage);
        }
    }

    /// A server has done its part of an update.
    fn applied(&mut self, variable: Option<VariableIndex>, stage: &mut Stage) {
        if let Some(leader) = &mut self.leader {
            leader.coordinator.at(stage.now()).applied(variable);
        }
        self.note_observed(stage);
    }

    fn order(&mut self, server: usize, order: Order, stage: &mut Stage) {
        let (Some(leader), Some(to)) = (&mut self.leader, &self.all[server]) else { return };
        let (linked, latest, _) = &mut leader.links[server];
        if *linked {
            *latest = stage.slow_way().max(*latest);
            let lives = (leader.life, to.life);
            stage.events.at(*latest, Event::Order { server, lives, order });
        }
    }

    /// A server hears the leader.
    pub(super) fn ordered(
        &mut self,
        server: usize,
        lives: (u64, u64),
        order: Order,
        stage: &mut Stage,
    ) {
        let alive = self.leader.as_ref().is_some_and(|leader| leader.life == lives.0);
        let own = self.all[server].as_mut().filter(|own| alive && own.life == lives.1);
        let Some(own) = own else { return };
        let done = match order {
            Order::Command(command) => {
                let applied = own.carry_out(&command, stage);
                applied.map(|applied| Done::Applied(applied.variable))
            }
            Order::Save(number) => Some(Done::State(number, Box::new(own.shard.state()))),
            Order::Begin { state, generation, global_step, secret } => {
                own.secret = secret;
                own.begin_generation(state.as_deref(), generation, global_step, stage);
                Some(Done::Begun(generation))
            }
            Order::End(ended) => {
                own.end(ended, stage);
                None
            }
        };
        let (Some(done), Some(leader)) = (done, &mut self.leader) else { return };
        let takes = matches!(done, Done::Applied(_));
        let update = if takes { stage.update() } else { Duration::ZERO };
        let latest = &mut leader.links[server].2;
        *latest = (stage.slow_way() + update).max(*latest);
        stage.events.at(*latest, Event::Done { server, lives, done });
    }

    /// The leader hears another server.
    pub(super) fn done(&mut self, server: usize, lives: (u64, u64), done: Done, stage: &mut Stage) {
        let alive = self.all[server].as_ref().is_some_and(|own| own.life == lives.1);
        let Some(leader) = self.leader.as_mut().filter(|it| alive && it.life == lives.0) else {
            return;
        };
        match done {
            // Otherwise it is one of a life that is given up.
            Done::Applied(variable) if leader.serving => {
                leader.updating = leader.updating.saturating_sub(1);
                self.applied(variable, stage);
                self.act(stage);
            }
            Done::Applied(_) => {}
            Done::State(number, state) => self.state_came(server, number, *state, stage),
            Done::Begun(generation) => self.server_begun(server, generation, stage),
            Done::Started => self.begin_generation(stage),
        }
    }

    /// Time has passed (P-5).
    pub(super) fn tick(&mut self, begun: u64, stage: &mut Stage) {
        let serving = self.leader.as_mut().filter(|leader| leader.serving);
        let Some(leader) = serving.filter(|_| begun == self.begun) else { return };
        let now = stage.now();
        let next = leader.coordinator.at(now).tick();
        self.act(stage);
        let next = next.map_or(now + TICK, |next| next.min(now + TICK));
        // A lease that ends now has been looked at.
        stage.events.at(next.max(now + Duration::from_micros(1)), Event::Tick(begun));
    }

    /// What must be told to end training (P-1).
    pub(super) fn stop(&mut self, stage: &mut Stage) {
        if let Some(leader) = &mut self.leader {
            let enough = StopReason::Requested("enough".to_owned());
            leader.coordinator.at(stage.now()).stop(enough);
        }
        self.act(stage);
    }

    /// Training ended, which is told once a last checkpoint is on disk.
    fn end(&mut self, reason: StopReason, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        let global_step = leader.coordinator.global_step();
        let (reason, failed) = match reason {
            StopReason::Requested(reason) => (reason, false),
            StopReason::Failed(reason) => (reason, true),
        };
        if failed {
            stage.never("training does not fail", &reason);
        }
        leader.ending = Some(Ended { reason, failed, global_step });
        self.save_if_new(stage);
        self.finish_if_saved(stage);
    }

    /// Tells all processes that it is over, once nothing is left to save.
    fn finish_if_saved(&mut self, stage: &mut Stage) {
        let Some(leader) = self.leader.as_ref().filter(|it| it.gathering.is_none()) else { return };
        let Some(ended) = leader.ending.clone() else { return };
        for server in 1..self.all.len() {
            self.order(server, Order::End(ended.clone()), stage);
        }
        if let Some(own) = self.all[0].as_mut().filter(|own| own.over.is_none()) {
            own.end(ended, stage);
        }
    }
}

impl Leader {
    fn start(life: u64, mix: &Mix) -> Self {
        let settings = CoordinatorSettings {
            variables: mix.variables,
            shards: mix.servers,
            secret: life,
            batch: mix.batch,
            observed: true,
            ..CoordinatorSettings::new(mix.config.clone())
        };
        let coordinator = Coordinator::new(settings, Generation::default());
        Self {
            coordinator,
            life,
            serving: false,
            stale: true,
            beginning: None,
            lanes: Vec::new(),
            late: BTreeSet::new(),
            links: vec![Default::default(); mix.servers],
            gathering: None,
            updates: 0,
            on_disk: None,
            updating: 0,
            ending: None,
        }
    }
}
