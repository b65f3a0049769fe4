//! What is under the one lock of a trainer: the engine, the held gradients, the waiting replicas.
//!
//! Nothing slow happens here: gradients are moved in and out, summed and applied elsewhere.

use std::task::Waker;
use std::time::Duration;

use super::buffers::GradientBuffers;
use super::desk::{Desk, Granted};
use super::incoming::PushError;
use super::pattern::{Expected, Pattern};
use super::span::ReplicaLog;
use super::sums::{Kind, VariableSum, VariableSums};
use super::superseded::Grants;
use crate::layout::Layout;
use crate::sync::Arc;
use crate::{Gradient, Scalar};
use engine::{Config, Effect, Engine, Outcome, Push};
use engine::{Generation, ReplicaId};

/// Everything that a trainer's threads share and change.
pub(crate) struct Core<T: Scalar> {
    pub(crate) engine: Engine,
    /// Where gradients go once they are applied.
    buffers: Arc<GradientBuffers<T>>,
    /// By variable; `None` for variables without a gradient.
    sums: Vec<Option<VariableSums<T>>>,
    /// Fixed by the first pushes, under the core's lock.
    pattern: Arc<Pattern<T>>,
    /// How many variables have gradients, as far as is known.
    with_gradients: usize,
    /// The lanes that the present event closed.
    closing: Option<Closing<T>>,
    /// What the contributions of the open step reported.
    round: Round,
    /// Those of the step that has closed and is not made yet.
    closed: Unused,
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
    /// Whose they are, by their keys.
    contributors: Vec<(u64, ReplicaId)>,
    examples: u64,
}

/// Accepted contributions that no update has used: those of steps that are not made.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    pub(crate) replicas: Vec<ReplicaId>,
    pub(crate) examples: u64,
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
    /// What closed.
    pub(crate) closing: Option<Closing<T>>,
    /// Whether some work, or all of a step's, became useless.
    pub(crate) superseded: bool,
    pub(crate) ended: bool,
}

/// The gradients of lanes that closed at once, taken, to be averaged and applied together.
#[derive(Debug)]
pub(crate) struct Closing<T: Scalar> {
    /// Which, where the step has others beside them that have not closed; else those that are left.
    pub(crate) lanes: Option<Vec<usize>>,
    /// How many gradients there were, in the last of them.
    pub(crate) count: u64,
    pub(crate) sums: Vec<(usize, VariableSum<T>)>,
    pub(crate) loss: Option<f64>,
    /// Whether one of the losses is finite, if there is one.
    pub(crate) finite_loss: Option<bool>,
    /// Whose gradients these are, by their keys.
    pub(crate) contributors: Vec<(u64, ReplicaId)>,
    pub(crate) examples: u64,
    pub(crate) generation: Generation,
}

impl<T: Scalar> Core<T> {
    pub(crate) fn new(
        engine: Engine,
        buffers: Arc<GradientBuffers<T>>,
        pattern: Arc<Pattern<T>>,
    ) -> Self {
        let seats = (0..engine.config().total_num_replicas()).map(|_| Seat::default()).collect();
        Self {
            sums: (0..buffers.len()).map(|_| None).collect(),
            buffers,
            pattern,
            with_gradients: 0,
            closing: None,
            round: Round::default(),
            closed: Unused::default(),
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
        self.closed = Unused::default();
        self.closing = None;
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
                // The share; in arrival order, how many came before.
                let key = share.unwrap_or(self.round.contributors.len() as u64);
                self.round.contributors.push((key, push.replica));
                self.totals.accepted += 1;
                self.round.losses.extend(loss.map(|loss| (key, loss)));
                self.round.examples = self.round.examples.saturating_add(examples);
                self.totals.examples = self.totals.examples.saturating_add(examples);
                self.store(gradients, key, outcome);
            }
            _ => {}
        }
        Ok(decision.outcome)
    }

    /// A push that has what no other had before says what the later ones must be like, if it fits
    /// itself; another may have been first meanwhile.
    pub(crate) fn check_first(
        &mut self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        if self.pattern.check(layout, gradients)? {
            return Ok(());
        }
        let fixed = self.pattern.first(layout, gradients, self.with_gradients)?;
        self.fix(layout, fixed);
        Ok(())
    }

    /// Declares the kinds before the first push, as the explicit way does.
    pub(crate) fn declare(&mut self, layout: &Layout, kinds: &[Kind]) {
        self.fix(layout, self.pattern.declared(layout, kinds));
    }

    fn fix(&mut self, layout: &Layout, fixed: Vec<(usize, Expected<T>)>) {
        for (index, expected) in fixed {
            self.with_gradients += usize::from(expected.has_lane());
            self.sums[index] = self.pattern.fix(layout, index, expected);
        }
        self.engine.set_lanes(self.with_gradients);
    }

    /// How many gradients are held for a variable, if it has any.
    pub(crate) fn num_accumulated(&self, variable: usize) -> Option<u64> {
        self.engine.num_accumulated(self.pattern.lane(variable)?)
    }

    /// Turns effects into what must be done outside the lock.
    pub(crate) fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Settled<T> {
        let mut settled = Settled {
            wakers: Vec::with_capacity(effects.len()),
            closing: None,
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
                Effect::Close { lane, count } => self.take(lane, count),
                Effect::Advanced { .. } => {
                    self.closed = Unused::default();
                    settled.superseded = true;
                }
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
        let last = self.engine.is_updating();
        settled.closing = self.closing.take().map(|closing| match last {
            true => {
                self.closed = self.round.unused();
                closing.of(&mut self.round)
            }
            false => Closing { contributors: self.round.contributors.clone(), ..closing },
        });
        settled
    }

    /// Accepted contributions of steps that are not made.
    pub(crate) fn unused(&self) -> Unused {
        let open = self.round.unused();
        let replicas = self.closed.replicas.iter().copied().chain(open.replicas).collect();
        Unused { replicas, examples: self.closed.examples.saturating_add(open.examples) }
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
        let given = gradients.iter().filter(|(_, gradient)| !matches!(gradient, Gradient::Missing));
        Some(given.filter_map(|(index, _)| self.pattern.lane(*index)).collect())
    }

    /// Moves admitted gradients into the sums. They were checked, so none can be refused now.
    fn store(&mut self, gradients: &mut Vec<(usize, Gradient<T>)>, key: u64, outcome: &Outcome) {
        for (index, gradient) in gradients {
            let index = *index;
            let lane = self.pattern.lane(index);
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

    /// Takes a lane's gradients.
    fn take(&mut self, lane: usize, count: u64) {
        let (step, generation) = (self.engine.global_step(), self.engine.generation());
        let sums = self.sums.iter_mut().enumerate();
        let sums = sums
            .filter(|(index, _)| self.pattern.lane(*index) == Some(lane))
            .filter_map(|(index, sums)| Some((index, sums.as_mut()?.drain(step)?)));
        let closing = self.closing.get_or_insert_with(|| Closing::new(generation));
        closing.count = count;
        closing.sums.extend(sums);
        if let Some(lanes) = closing.lanes.as_mut().filter(|_| self.engine.num_lanes() > 1) {
            lanes.push(lane);
        }
    }
}

impl<T: Scalar> Closing<T> {
    fn new(generation: Generation) -> Self {
        let lanes = Some(Vec::new());
        let (sums, contributors) = (Vec::new(), Vec::new());
        let (count, loss, finite_loss, examples) = (0, None, None, 0);
        Self { lanes, count, sums, loss, finite_loss, contributors, examples, generation }
    }

    /// The last of its step, with what the step's contributions reported.
    fn of(self, round: &mut Round) -> Self {
        let mut round = std::mem::take(round);
        let contributors = std::mem::take(&mut round.contributors);
        let finite = round.losses.iter().any(|(_, loss)| loss.is_finite());
        let finite_loss = (!round.losses.is_empty()).then_some(finite);
        let (examples, loss) = (round.examples, round.mean_loss());
        Self { lanes: None, contributors, examples, loss, finite_loss, ..self }
    }

    /// Whether it makes the step.
    pub(crate) fn is_last(&self) -> bool {
        self.lanes.is_none()
    }
}

impl Round {
    fn unused(&self) -> Unused {
        let replicas = self.contributors.iter().map(|&(_, replica)| replica).collect();
        Unused { replicas, examples: self.examples }
    }

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
