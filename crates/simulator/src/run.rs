//! The engine in virtual time: replicas that draw how long they compute.
//!
//! The engine decides everything. The code here does what a replica and a server do: wait, compute,
//! send, update. Its invariant: the token ledger balances at the end of every run, or the run
//! fails.

mod worker;

use std::time::Duration;

use accum_core::GlobalStep;
use engine::{Effect, Engine, Generation, Grant, Outcome as Fate, Push, ReplicaId};

use crate::distribution::LONGEST;
use crate::event_queue::EventQueue;
use crate::outcome::{Outcome, Totals};
use crate::plan::{Plan, What};
use crate::stream::Stream;
use worker::Worker;

/// Events without a step after which a run counts as stuck, at least.
const PATIENCE: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A replica ends this piece of work.
    Computed { replica: usize, work: u64 },
    /// Its gradient reaches the server.
    Arrives { replica: usize, work: u64, local_step: i64 },
    /// A stopped replica goes on.
    Wakes { replica: usize },
    /// A lane's update is done.
    Applied { lane: usize },
    /// A lease or a deadline may be over.
    Tick,
    /// A fixed event of the plan.
    Planned { index: usize },
    /// A random event of a replica's life.
    Churn { replica: usize, what: What, life: u64 },
}

/// Runs a plan with the engine.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let mut run = Run::new(plan);
    let stuck = run.start().or_else(|| run.play());
    run.finish(stuck)
}

struct Run<'p> {
    plan: &'p Plan,
    engine: Engine,
    events: EventQueue<Event>,
    /// The engine's effects, and a list to swap them with.
    effects: Vec<Effect>,
    spare: Vec<Effect>,
    workers: Vec<Worker<'p>>,
    updates: Stream,
    step_began: Duration,
    durations: Vec<f64>,
    totals: Totals,
    /// Events since the last step.
    quiet: u64,
    /// When the last of them that is not a tick was.
    last_event: Duration,
    /// Whether a tick is among the events.
    ticks: bool,
    overdue: Option<String>,
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan) -> Self {
        let total = plan.total();
        let generation = Generation::default();
        let engine = Engine::new(plan.config.clone(), 1, GlobalStep::default(), generation);
        let workers = (0..total as u64).map(|replica| Worker::new(plan, replica)).collect();
        Self {
            plan,
            engine,
            events: EventQueue::new(),
            effects: Vec::new(),
            spare: Vec::new(),
            workers,
            updates: Stream::of_updates(plan.seed),
            step_began: Duration::ZERO,
            durations: Vec::new(),
            totals: Totals::default(),
            quiet: 0,
            last_event: Duration::ZERO,
            ticks: false,
            overdue: None,
        }
    }

    fn start(&mut self) -> Option<String> {
        let initial = self.plan.config.settings().initial_tokens;
        if let Err(error) = self.engine.start_chief(initial, Duration::ZERO, &mut self.effects) {
            return Some(error.to_string());
        }
        for (index, event) in self.plan.events.iter().enumerate() {
            self.events.at(event.at, Event::Planned { index });
        }
        for replica in 0..self.workers.len() {
            if !self.comes_later(replica as u64) {
                self.join(replica);
            }
        }
        self.tick();
        self.carry_out();
        None
    }

    /// Whether a replica's first event is that it comes.
    fn comes_later(&self, replica: u64) -> bool {
        let first = self.plan.events.iter().find(|event| event.replica == replica);
        first.is_some_and(|event| event.what == What::Joins)
    }

    /// Plays until the steps are done; returns why if they never will be.
    fn play(&mut self) -> Option<String> {
        let patience = PATIENCE.max(100 * self.plan.config.tokens_per_step() as u64);
        while (self.durations.len() as u64) < self.plan.steps {
            if self.events.len() == usize::from(self.ticks) && self.is_frozen() {
                return Some(self.describe("no replica computes, and nothing is on its way"));
            }
            let Some(event) = self.events.next() else {
                return Some(self.describe("no replica computes, and nothing is on its way"));
            };
            self.quiet += 1;
            if self.quiet > patience {
                return Some(self.describe(&format!("{patience} events made no step")));
            }
            if self.events.now().as_secs_f64() >= LONGEST {
                return Some(self.describe("thirty years have passed"));
            }
            self.handle(event);
            self.carry_out();
            if let Some(overdue) = self.overdue.take() {
                return Some(overdue);
            }
        }
        None
    }

    /// Whether no tick to come can change anything: no lease and no deadline is left to end.
    fn is_frozen(&self) -> bool {
        let settings = self.plan.config.settings();
        let limits = settings.lease.into_iter().chain(settings.step_deadline);
        let longest = limits.chain(self.engine.step_timeout()).max();
        longest.is_none_or(|limit| self.last_event + 2 * limit < self.events.now())
    }

    fn describe(&self, why: &str) -> String {
        let (step, seconds) = (self.durations.len(), self.events.now().as_secs_f64());
        let held = self.engine.num_accumulated(0).unwrap_or(0);
        format!(
            "stuck after {step} steps, {seconds:.3} s: {why}; {held} of {} gradients are in, {} \
             of {} replicas live",
            self.plan.aggregate(),
            self.workers.iter().filter(|worker| worker.incarnation.is_some()).count(),
            self.plan.total(),
        )
    }

    fn handle(&mut self, event: Event) {
        if !matches!(event, Event::Tick) {
            self.last_event = self.events.now();
        }
        match event {
            Event::Computed { replica, work } => self.computed(replica, work),
            Event::Arrives { replica, work, local_step } => self.arrives(replica, work, local_step),
            Event::Wakes { replica } => self.wakes(replica),
            Event::Applied { lane } => {
                self.engine.applied(lane, self.events.now(), &mut self.effects);
            }
            Event::Tick => {
                self.ticks = false;
                self.tick();
            }
            Event::Planned { index } => {
                let event = self.plan.events[index];
                self.happens(event.replica as usize, event.what);
            }
            Event::Churn { replica, what, life } => {
                if self.workers[replica].life == life {
                    self.happens(replica, what);
                    self.churn_after(replica, what);
                }
            }
        }
    }

    /// Carries out the engine's effects, until there are no more.
    fn carry_out(&mut self) {
        while !self.effects.is_empty() {
            let mut effects = std::mem::replace(&mut self.effects, std::mem::take(&mut self.spare));
            for effect in effects.drain(..) {
                match effect {
                    Effect::Grant(grant) => self.begin(&grant),
                    Effect::Close { lane, .. } => self.update(lane),
                    Effect::Advanced { .. } => self.advanced(),
                    Effect::Superseded { replica } => self.superseded(replica.get() as usize),
                    Effect::Overdue(overdue) => self.overdue = Some(overdue.to_string()),
                    _ => {}
                }
            }
            self.spare = effects;
        }
    }

    fn tick(&mut self) {
        let now = self.events.now();
        for replica in 0..self.workers.len() {
            self.shows_life(replica);
        }
        let next = self.engine.tick(now, &mut self.effects);
        if let Some(next) = next {
            self.events.at(next, Event::Tick);
            self.ticks = true;
        }
    }

    /// A replica got a token.
    fn begin(&mut self, grant: &Grant) {
        let replica = grant.replica.get() as usize;
        let now = self.events.now();
        let told = self.plan.config.settings().tell_superseded;
        if told && self.engine.is_superseded(grant.replica) {
            // Its step was over before it began; an error would say that it is no member.
            let _ = self.engine.decline(grant.replica, grant.incarnation, now, &mut self.effects);
            return;
        }
        let worker = &mut self.workers[replica];
        worker.begin(grant.local_step.get(), grant.number, now);
        let event = Event::Computed { replica, work: worker.work };
        self.events.at(worker.due, event);
    }

    fn computed(&mut self, replica: usize, work: u64) {
        let worker = &mut self.workers[replica];
        if worker.work != work || !worker.computing {
            return;
        }
        let now = self.events.now();
        if worker.due > now {
            // It stood still meanwhile.
            self.events.at(worker.due, Event::Computed { replica, work });
            return;
        }
        worker.computing = false;
        worker.spent = now.saturating_sub(worker.began).saturating_sub(worker.stood_still);
        let local_step = worker.local_step;
        if worker.wire.is_zero() {
            self.arrives(replica, work, local_step);
        } else {
            self.events.after(worker.wire, Event::Arrives { replica, work, local_step });
        }
    }

    fn arrives(&mut self, replica: usize, work: u64, local_step: i64) {
        let worker = &mut self.workers[replica];
        let Some(incarnation) = worker.incarnation.filter(|_| worker.work == work) else { return };
        worker.sequence += 1;
        let push = Push {
            replica: ReplicaId::new(replica as u64),
            incarnation,
            generation: self.engine.generation(),
            sequence: worker.sequence,
            local_step: local_step.into(),
            lanes: None,
        };
        let spent = worker.spent;
        self.totals.computed_seconds += spent.as_secs_f64();
        match self.engine.push(&push, self.events.now(), &mut self.effects) {
            Ok(decision) if matches!(decision.outcome, Fate::Accepted { .. }) => {
                self.totals.useful_seconds += spent.as_secs_f64();
            }
            Ok(_) => {}
            // A replica that the engine no longer knows is told so, and is gone.
            Err(_) => worker.incarnation = None,
        }
    }

    fn update(&mut self, lane: usize) {
        let update = self.plan.update.as_ref();
        let takes = update.map(|update| update.draw_time(&mut self.updates)).unwrap_or_default();
        if takes.is_zero() {
            self.engine.applied(lane, self.events.now(), &mut self.effects);
        } else {
            self.events.after(takes, Event::Applied { lane });
        }
    }

    fn advanced(&mut self) {
        let now = self.events.now();
        self.durations.push((now - self.step_began).as_secs_f64());
        self.step_began = now;
        self.quiet = 0;
        if !self.plan.config.settings().tell_superseded {
            return;
        }
        let step = self.engine.global_step().get();
        for replica in 0..self.workers.len() {
            if self.workers[replica].local_step < step {
                self.superseded(replica);
            }
        }
    }

    /// A replica is told that its work is superseded. A halted replica does not hear it.
    // P-13
    fn superseded(&mut self, replica: usize) {
        let now = self.events.now();
        let worker = &mut self.workers[replica];
        let Some(incarnation) = worker.incarnation.filter(|_| worker.computing) else { return };
        if worker.still_until > now {
            return;
        }
        self.totals.computed_seconds += worker.stop(now).as_secs_f64();
        let id = ReplicaId::new(replica as u64);
        if self.engine.give_up(id, incarnation, now, &mut self.effects).is_err() {
            worker.incarnation = None;
        }
    }

    fn finish(self, stuck: Option<String>) -> Outcome {
        let broken = self.engine.validate().err();
        let tallies = (0..self.workers.len() as u64)
            .filter_map(|replica| self.engine.tally(ReplicaId::new(replica)));
        let stuck = broken.map(|broken| format!("an invariant is broken: {broken}")).or(stuck);
        Outcome::new(self.plan, self.durations, self.totals, stuck)
            .with_engine(&self.engine, tallies.collect())
    }
}
