//! The engine driven by hand: exact effects, no threads, no clock.

mod differences;
mod effects;
mod explore;
mod faults;
mod shares;

use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};

use super::*;
use crate::{Generation, Incarnation, ReplicaId};

/// An engine with a clock that moves only when told, which checks the invariants after every
/// event and applies closed lanes when asked.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) now: Duration,
    pub(super) incarnations: Vec<Incarnation>,
    sequences: Vec<u64>,
}

pub(super) fn settings(aggregate: usize, total: usize) -> Settings {
    Settings { total_num_replicas: Some(total), ..Settings::new(aggregate) }
}

pub(super) fn id(replica: u64) -> ReplicaId {
    ReplicaId::new(replica)
}

impl Bench {
    /// The chief has started, no replica has joined.
    pub(super) fn new(settings: Settings) -> Self {
        let initial = settings.initial_tokens;
        let config = settings.check().expect("the settings fit");
        let total = config.total_num_replicas();
        let engine = Engine::new(config, 2, GlobalStep::default(), Generation::new(1));
        let mut bench = Self {
            engine,
            now: Duration::ZERO,
            incarnations: vec![Incarnation::default(); total],
            sequences: vec![0; total],
        };
        bench
            .event(|engine, now, effects| engine.start_chief(initial, now, effects))
            .0
            .expect("it starts");
        bench
    }

    /// The same with all replicas there.
    pub(super) fn joined(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        for replica in 0..bench.incarnations.len() as u64 {
            bench.join(replica);
        }
        bench
    }

    pub(super) fn event<R>(
        &mut self,
        event: impl FnOnce(&mut Engine, Duration, &mut Vec<Effect>) -> R,
    ) -> (R, Vec<Effect>) {
        let mut effects = Vec::new();
        let result = event(&mut self.engine, self.now, &mut effects);
        self.engine.validate().unwrap_or_else(|broken| panic!("{broken}\n{:#?}", self.engine));
        (result, effects)
    }

    pub(super) fn join(&mut self, replica: u64) -> Vec<Effect> {
        let (joined, effects) =
            self.event(|engine, now, effects| engine.join(id(replica), now, effects));
        self.incarnations[replica as usize] = joined.expect("it may join");
        self.sequences[replica as usize] = 0;
        effects
    }

    pub(super) fn push_at(&mut self, replica: u64, step: i64) -> (Decision, Vec<Effect>) {
        self.sequences[replica as usize] += 1;
        self.push_again(replica, step)
    }

    /// The same contribution once more.
    pub(super) fn push_again(&mut self, replica: u64, step: i64) -> (Decision, Vec<Effect>) {
        let push = Push {
            replica: id(replica),
            incarnation: self.incarnations[replica as usize],
            generation: self.engine.generation(),
            sequence: self.sequences[replica as usize],
            local_step: LocalStep::new(step),
            lanes: None,
        };
        let (decision, effects) =
            self.event(|engine, now, effects| engine.push(&push, now, effects));
        (decision.expect("a member pushes"), effects)
    }

    /// A push that claims the replica's own local step, and the applying of what it closed.
    pub(super) fn turn(&mut self, replica: u64) -> Outcome {
        let step = self.engine.local_step(id(replica)).expect("it has joined").get();
        let (decision, effects) = self.push_at(replica, step);
        self.apply(effects);
        decision.outcome
    }

    /// Applies every lane that was closed, also those that applying closes.
    pub(super) fn apply(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut all = Vec::new();
        let mut todo = effects;
        while !todo.is_empty() {
            let mut next = Vec::new();
            for effect in &todo {
                if let Effect::Close { lane, .. } = *effect {
                    next.extend(self.event(|engine, now, out| engine.applied(lane, now, out)).1);
                }
            }
            all.append(&mut todo);
            todo = next;
        }
        all
    }

    pub(super) fn leave(&mut self, replica: u64) {
        let incarnation = self.incarnations[replica as usize];
        self.event(|engine, now, effects| engine.leave(id(replica), incarnation, now, effects));
    }

    pub(super) fn give_up(&mut self, replica: u64) -> Vec<Effect> {
        let incarnation = self.incarnations[replica as usize];
        let gave_up = self
            .event(|engine, now, effects| engine.give_up(id(replica), incarnation, now, effects));
        gave_up.0.expect("a member gives up");
        gave_up.1
    }

    pub(super) fn skip(&mut self, replica: u64) -> Vec<Effect> {
        let incarnation = self.incarnations[replica as usize];
        let (skipped, effects) =
            self.event(|engine, now, effects| engine.skip(id(replica), incarnation, now, effects));
        skipped.expect("a member skips");
        effects
    }

    pub(super) fn step(&self) -> i64 {
        self.engine.global_step().get()
    }
}

pub(super) fn expired(replica: u64, cause: Expiry) -> Effect {
    Effect::TokenExpired { replica: id(replica), cause }
}
