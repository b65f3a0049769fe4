//! What is under the one lock of a trainer: the engine, the held gradients, the waiting replicas.
//!
//! Nothing slow happens here: gradients are moved in and out, summed and applied elsewhere.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use super::buffers::Buffers;
use super::desk::{Desk, Granted};
use super::incoming::PushError;
use super::pattern::Pattern;
use super::span::ReplicaLog;
use super::sums::{Kind, VariableSum, VariableSums};
use super::superseded::Grants;
use crate::engine::{Config, Effect, Engine, Outcome, Push};
use crate::ids::{Generation, ReplicaId};
use crate::layout::Layout;
use crate::sync::Arc;
use crate::{Gradient, Scalar};

/// Everything that a trainer's threads share and change.
pub(crate) struct Core<T: Scalar> {
    pub(crate) engine: Engine,
    /// Where gradients go once they are applied.
    buffers: Arc<Buffers<T>>,
    /// By variable; `None` for variables without a gradient.
    sums: Vec<Option<VariableSums<T>>>,
    /// Set by the first push, under the core's lock.
    pattern: Arc<OnceLock<Pattern<T>>>,
    rules: Rules,
    /// What the contributions of the open step reported.
    round: Round,
    pub(crate) totals: Totals,
    pub(crate) seats: Vec<Seat>,
    /// Empty between events; kept for its memory.
    pub(crate) effects: Vec<Effect>,
}

/// How gradients are summed and divided, beside the engine's own settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) sparse_mean: accum_core::SparseMean,
    pub(crate) sparse_merge: accum_core::SparseMerge,
}

/// The contributions of the open step, in order of their keys.
#[derive(Debug, Default)]
struct Round {
    losses: Vec<(u64, f64)>,
    examples: u64,
}

/// The three counters, by their three names (P-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Batches pushed: computed to the end, whether accepted or dropped.
    pub batches: u64,
    /// Examples in accepted batches.
    pub examples: u64,
    /// Pushed batches that became part of a step.
    pub accepted: u64,
    /// Pushed batches that were dropped as stale.
    pub stale: u64,
}

/// A replica's place, with the desk of its newest life.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(crate) desk: Arc<Desk>,
    pub(crate) grants: Grants,
    pub(crate) log: ReplicaLog,
}

/// What must be done once the lock is released.
pub(crate) struct Settled<T: Scalar> {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) closings: Vec<Closing<T>>,
    /// Whether some work, or all of a step's, became useless.
    pub(crate) superseded: bool,
    pub(crate) ended: bool,
}

/// A lane's gradients, taken, to be averaged and applied.
#[derive(Debug)]
pub(crate) struct Closing<T: Scalar> {
    pub(crate) lane: usize,
    /// How many lanes make a step.
    pub(crate) lanes: usize,
    pub(crate) count: u64,
    pub(crate) sums: Vec<(usize, VariableSum<T>)>,
    pub(crate) loss: Option<f64>,
    pub(crate) examples: u64,
    pub(crate) generation: Generation,
}

impl<T: Scalar> Core<T> {
    pub(crate) fn new(
        engine: Engine,
        buffers: Arc<Buffers<T>>,
        pattern: Arc<OnceLock<Pattern<T>>>,
        rules: Rules,
    ) -> Self {
        let seats = (0..engine.config().total_num_replicas()).map(|_| Seat::default()).collect();
        Self {
            sums: (0..buffers.len()).map(|_| None).collect(),
            buffers,
            pattern,
            rules,
            round: Round::default(),
            totals: Totals::default(),
            seats,
            effects: Vec::new(),
            engine,
        }
    }

    /// Forgets the gradients of an earlier life; the engine was restored already (P-9).
    /// Whoever waits must be woken.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        for sums in self.sums.iter_mut().flatten() {
            sums.clear();
        }
        self.round = Round::default();
        let left = self.seats.iter_mut().map(std::mem::take);
        left.filter_map(|seat| {
            // Who computes for the old life does so in vain (P-13).
            seat.grants.supersede();
            seat.desk.close()
        })
        .collect()
    }

    /// Admits and stores one replica's gradients as a unit (P-11); what it does not store, it
    /// leaves.
    pub(crate) fn push(
        &mut self,
        push: &Push,
        gradients: &mut Vec<(usize, Gradient<T>)>,
        (share, loss, examples): (Option<u64>, Option<f64>, u64),
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, PushError> {
        let lanes = self.lanes_of(gradients);
        let push = Push { lanes, ..push.clone() };
        let decision = self.engine.push(&push, now, effects)?;
        if decision.repeated {
            return Ok(decision.outcome);
        }
        self.totals.batches += 1;
        match &decision.outcome {
            Outcome::Stale { .. } => self.totals.stale += 1,
            outcome if outcome.is_accepted() => {
                // In arrival order every key is the same: ties keep the order of arrival.
                let key = share.unwrap_or(0);
                self.totals.accepted += 1;
                self.round.losses.extend(loss.map(|loss| (key, loss)));
                self.round.examples += examples;
                self.totals.examples += examples;
                self.store(gradients, key, outcome);
            }
            _ => {}
        }
        Ok(decision.outcome)
    }

    /// The first push says what the later ones must be like, if it fits itself; another may have
    /// been first meanwhile.
    pub(crate) fn check_first(
        &mut self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        if let Some(pattern) = self.pattern.get() {
            return pattern.check(layout, gradients);
        }
        let settings = self.engine.config().settings();
        let pattern = Pattern::of(layout, gradients, self.rules, settings)?;
        self.fix_pattern(layout, pattern);
        Ok(())
    }

    /// Declares the kinds before the first push, as the explicit way does.
    pub(crate) fn declare(&mut self, layout: &Layout, kinds: &[Kind]) {
        let pattern = Pattern::new(layout, kinds, self.rules, self.engine.config().settings());
        self.fix_pattern(layout, pattern);
    }

    fn fix_pattern(&mut self, layout: &Layout, pattern: Pattern<T>) {
        // Under the core's lock and after a look, so that none is there.
        if let Ok(()) = self.pattern.set(pattern)
            && let Some(pattern) = self.pattern.get()
        {
            self.sums = pattern.sums(layout);
            self.engine.set_lanes(pattern.lanes());
        }
    }

    /// How many gradients are held for a variable, if it has any.
    pub(crate) fn num_accumulated(&self, variable: usize) -> Option<u64> {
        self.engine.num_accumulated(self.pattern.get()?.lane(variable)?)
    }

    /// Turns effects into what must be done outside the lock.
    pub(crate) fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Settled<T> {
        let mut settled = Settled {
            wakers: Vec::with_capacity(effects.len()),
            closings: Vec::new(),
            superseded: false,
            ended: false,
        };
        for effect in effects.drain(..) {
            match effect {
                Effect::Grant(grant) => {
                    if let Some(seat) = seat_of(&mut self.seats, grant.replica) {
                        let serial = seat.grants.next();
                        settled.wakers.extend(seat.desk.lay(Granted { grant, serial, at: now }));
                    }
                }
                Effect::Close { lane, count } => {
                    let closing = self.take(lane, count);
                    settled.closings.push(closing);
                }
                Effect::Advanced { .. } => settled.superseded = true,
                Effect::Superseded { replica } => {
                    if let Some(seat) = seat_of(&mut self.seats, replica) {
                        seat.grants.supersede();
                        settled.superseded = true;
                    }
                }
                Effect::LeaseExpired { replica } => {
                    tracing::warn!(%replica, "lease ran out; its token goes to another replica");
                    // Should it wait for one already, it must first stand in line.
                    let seat = seat_of(&mut self.seats, replica);
                    settled.wakers.extend(seat.and_then(|seat| seat.desk.call()));
                }
                Effect::Overdue(overdue) => {
                    tracing::warn!(%overdue, "a step is overdue");
                    for &replica in &overdue.waiting {
                        if let Some(seat) = seat_of(&mut self.seats, replica) {
                            settled.wakers.extend(seat.desk.call_overdue(overdue.clone()));
                        }
                    }
                }
                Effect::Ended => {
                    settled.ended = true;
                    settled.wakers.extend(self.seats.iter().filter_map(|seat| seat.desk.call()));
                }
            }
        }
        settled
    }

    pub(crate) fn seat(&mut self, replica: ReplicaId) -> Option<&mut Seat> {
        seat_of(&mut self.seats, replica)
    }

    pub(crate) fn config(&self) -> &Config {
        self.engine.config()
    }

    fn lanes_of(&self, gradients: &[(usize, Gradient<T>)]) -> Option<Vec<usize>> {
        if self.engine.num_lanes() == 1 {
            return None;
        }
        let pattern = self.pattern.get()?;
        let given = gradients.iter().filter(|(_, gradient)| !matches!(gradient, Gradient::Missing));
        Some(given.filter_map(|(index, _)| pattern.lane(*index)).collect())
    }

    /// Moves admitted gradients into the sums. They were checked, so none can be refused now.
    fn store(&mut self, gradients: &mut Vec<(usize, Gradient<T>)>, key: u64, outcome: &Outcome) {
        for (index, gradient) in gradients {
            let index = *index;
            let lane = self.pattern.get().and_then(|pattern| pattern.lane(index));
            let admitted = match outcome {
                Outcome::Partly { accepted } => lane.is_some_and(|lane| accepted.contains(&lane)),
                _ => lane.is_some(),
            };
            let (true, Some(sums)) = (admitted, &mut self.sums[index]) else { continue };
            let added = match std::mem::replace(gradient, Gradient::Missing) {
                Gradient::Dense(array) => sums.add_dense(self.buffers.lend(index, array), key),
                Gradient::Sparse(slices) => sums.add_sparse(slices, key),
                Gradient::Missing => Ok(()),
            };
            if let Err(error) = added {
                tracing::error!(%error, "a checked gradient was refused");
            }
        }
    }

    fn take(&mut self, lane: usize, count: u64) -> Closing<T> {
        let step = self.engine.global_step();
        let pattern = self.pattern.get();
        let is_in_lane = |index: usize| pattern.and_then(|of| of.lane(index)) == Some(lane);
        let sums = self.sums.iter_mut().enumerate();
        let sums = sums
            .filter(|(index, _)| is_in_lane(*index))
            .filter_map(|(index, sums)| Some((index, sums.as_mut()?.drain(step)?)))
            .collect();
        let round = if lane == 0 { std::mem::take(&mut self.round) } else { Round::default() };
        Closing {
            lane,
            lanes: self.engine.num_lanes(),
            count,
            sums,
            examples: round.examples,
            loss: round.mean_loss(),
            generation: self.engine.generation(),
        }
    }
}

impl Round {
    /// The mean of the contributions' losses, added in order of their keys.
    fn mean_loss(mut self) -> Option<f64> {
        self.losses.sort_by_key(|&(key, _)| key);
        let count = self.losses.len();
        let sum: f64 = self.losses.iter().map(|(_, loss)| loss).sum();
        (count > 0).then(|| sum / count as f64)
    }
}

fn seat_of(seats: &mut [Seat], replica: ReplicaId) -> Option<&mut Seat> {
    seats.get_mut(usize::try_from(replica.get()).ok()?)
}
