//! What is under the one lock of a trainer: the engine, the held gradients, the waiting replicas.
//!
//! Nothing slow happens here: gradients are moved in and out, summed and applied elsewhere.

use std::task::Waker;
use std::time::Duration;

use super::buffers::Buffers;
use super::desk::{Desk, Granted};
use super::incoming::PushError;
use super::span::ReplicaLog;
use super::sums::{Kind, VariableSum, VariableSums};
use super::superseded::Grants;
use crate::engine::{Admission, Config, Effect, Engine, Order, Outcome, Push};
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
    /// Which variables have gradients of which kind; fixed by the first push.
    pattern: Option<Pattern>,
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

/// The kind of every variable's gradient, and the lane that admits it.
#[derive(Debug)]
struct Pattern {
    kinds: Vec<Kind>,
    lanes: Vec<Option<usize>>,
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
    pub(crate) fn new(engine: Engine, buffers: Arc<Buffers<T>>, rules: Rules) -> Self {
        let seats = (0..engine.config().total_num_replicas()).map(|_| Seat::default()).collect();
        Self {
            sums: (0..buffers.len()).map(|_| None).collect(),
            buffers,
            pattern: None,
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

    /// Checks kinds and shapes against the first push, which fixes the kinds.
    pub(crate) fn check(
        &mut self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        let Some(pattern) = &self.pattern else { return self.check_first(layout, gradients) };
        self.check_kinds(layout, pattern, gradients)?;
        for (index, gradient) in gradients {
            if let Some(sums) = &self.sums[*index] {
                sums.check(layout.shape(*index), gradient)
                    .map_err(|source| misfit(layout, *index, source))?;
            }
        }
        Ok(())
    }

    /// The first push says what the later ones must be like, if it fits itself.
    fn check_first(
        &mut self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        let mut kinds = vec![Kind::Missing; layout.len()];
        let ordered = self.engine.config().settings().order == Order::Replica;
        for (index, gradient) in gradients {
            let shape = layout.shape(*index);
            kinds[*index] = Kind::of(gradient);
            if let Some(sums) = VariableSums::new(kinds[*index], shape, self.rules, ordered) {
                sums.check(shape, gradient).map_err(|source| misfit(layout, *index, source))?;
            }
        }
        self.fix_pattern(layout, kinds);
        Ok(())
    }

    /// Declares the kinds before the first push, as the explicit way does.
    pub(crate) fn fix_pattern(&mut self, layout: &Layout, kinds: Vec<Kind>) {
        let mut lanes = 0;
        let together = self.engine.config().settings().admission == Admission::Together;
        let ordered = self.engine.config().settings().order == Order::Replica;
        let mut of_variable = Vec::with_capacity(kinds.len());
        for (index, &kind) in kinds.iter().enumerate() {
            let shape = layout.shape(index);
            self.sums[index] = VariableSums::new(kind, shape, self.rules, ordered);
            of_variable.push((kind != Kind::Missing).then_some(if together { 0 } else { lanes }));
            lanes += usize::from(kind != Kind::Missing);
        }
        self.engine.set_lanes(lanes);
        self.pattern = Some(Pattern { kinds, lanes: of_variable });
    }

    /// How many gradients are held for a variable, if it has any.
    pub(crate) fn num_accumulated(&self, variable: usize) -> Option<u64> {
        let lane = (*self.pattern.as_ref()?.lanes.get(variable)?)?;
        self.engine.num_accumulated(lane)
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

    /// Whether every variable's gradient is of the kind that it was in the first push.
    fn check_kinds(
        &self,
        layout: &Layout,
        pattern: &Pattern,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        // Per variable, as in the described system, a push may leave variables out.
        let partial = self.engine.config().settings().admission == Admission::PerVariable;
        let mut given = gradients.iter().peekable();
        for (index, &expected) in pattern.kinds.iter().enumerate() {
            // Sorted by index, so that one walk through both finds what is left out.
            let own = given.next_if(|(given, _)| *given == index);
            let got = own.map_or(Kind::Missing, |(_, gradient)| Kind::of(gradient));
            if expected != got && !(partial && got == Kind::Missing) {
                let name = layout.name(index).to_owned();
                return Err(PushError::Kind { name, expected, got });
            }
        }
        Ok(())
    }

    fn lanes_of(&self, gradients: &[(usize, Gradient<T>)]) -> Option<Vec<usize>> {
        if self.engine.num_lanes() == 1 {
            return None;
        }
        let lanes = &self.pattern.as_ref()?.lanes;
        let given = gradients.iter().filter(|(_, gradient)| !matches!(gradient, Gradient::Missing));
        Some(given.filter_map(|(index, _)| lanes[*index]).collect())
    }

    /// Moves admitted gradients into the sums. They were checked, so none can be refused now.
    fn store(&mut self, gradients: &mut Vec<(usize, Gradient<T>)>, key: u64, outcome: &Outcome) {
        for (index, gradient) in gradients {
            let index = *index;
            let lane = self.pattern.as_ref().and_then(|pattern| pattern.lanes[index]);
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
        let lanes = self.pattern.as_ref().map_or(&[][..], |pattern| &pattern.lanes);
        let sums = self.sums.iter_mut().zip(lanes).enumerate();
        let sums = sums
            .filter(|(_, (_, of))| **of == Some(lane))
            .filter_map(|(index, (sums, _))| Some((index, sums.as_mut()?.drain(step)?)))
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

fn misfit(layout: &Layout, index: usize, source: accum_core::ApplyError) -> PushError {
    PushError::Gradient { name: layout.name(index).to_owned(), source }
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
