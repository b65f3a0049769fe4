//! What is under the one lock of a trainer: the engine, the held gradients, the waiting replicas.
//!
//! Nothing slow happens here: gradients are moved in and out, summed and applied elsewhere.

use std::task::Waker;
use std::time::Duration;

use crate::runtime::buffers::GradientBuffers;
use crate::runtime::error::PushError;
use crate::runtime::replica::cancellation::Grants;
use crate::runtime::replica::log::ReplicaLog;
use crate::runtime::replica::mailbox::{Granted, Mailbox};
use crate::store::{
    GradientError, GradientKind, GradientSpec, Layout, StepContributions, SumOptions, Totals,
    VariableKind, VariableSum, VariableSums, kinds,
};
use crate::sync::Arc;
use crate::{Gradient, Scalar};
use engine::{Config, Effect, Engine, Generation, Outcome, Push, ReplicaId};

/// Everything that a trainer's threads share and change.
pub(crate) struct Core<T: Scalar> {
    pub(crate) engine: Engine,
    /// Where gradients return to once they are applied.
    buffers: Arc<GradientBuffers<T>>,
    /// By variable; `None` for variables without a gradient.
    sums: Vec<Option<VariableSums<T>>>,
    /// Fixed by the first pushes, under the core's lock.
    spec: Arc<GradientSpec>,
    options: SumOptions,
    /// The lanes that the present event closed.
    closing: Option<Taken<T>>,
    /// The reports of the open step's contributions.
    round: StepContributions,
    /// The reports of the step that has closed and is not made yet.
    closed: Option<Arc<StepContributions>>,
    pub(crate) totals: Totals,
    pub(crate) slots: Vec<ReplicaSlot>,
    /// Empty between events; kept for its memory.
    pub(crate) effects: Vec<Effect>,
}

/// Accepted contributions that no update has used: those of steps that are not made.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    pub(crate) replicas: Vec<ReplicaId>,
    pub(crate) examples: u64,
}

/// A replica's place, with the mailbox of its newest life.
#[derive(Debug, Default)]
pub(crate) struct ReplicaSlot {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) grants: Grants,
    pub(crate) log: ReplicaLog,
}

/// What a replica reports with its gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushReport {
    /// The share of the step, where gradients are summed in replica order.
    pub(crate) share: Option<u64>,
    pub(crate) loss: Option<f64>,
    pub(crate) examples: u64,
}

/// What to do once the lock is released.
pub(crate) struct FollowUp<T: Scalar> {
    pub(crate) wakers: Vec<Waker>,
    /// The lanes that closed.
    pub(crate) closing: Option<ClosedStep<T>>,
    /// Whether some work, or all of a step's, became useless.
    pub(crate) superseded: bool,
    pub(crate) ended: bool,
}

/// The gradients of lanes that closed at once.
#[derive(Debug)]
struct Taken<T: Scalar> {
    lanes: Vec<usize>,
    /// How many gradients the last of them had.
    count: u64,
    sums: Vec<(usize, VariableSum<T>)>,
}

/// The gradients of lanes that closed at once, taken, to be averaged and applied together.
#[derive(Debug)]
pub(crate) struct ClosedStep<T: Scalar> {
    /// The lanes that closed here; `None` when they complete the step.
    pub(crate) lanes: Option<Vec<usize>>,
    /// How many gradients the last of them had.
    pub(crate) count: u64,
    pub(crate) sums: Vec<(usize, VariableSum<T>)>,
    /// The contributors of these gradients, and their reports.
    pub(crate) round: Arc<StepContributions>,
    pub(crate) generation: Generation,
}

impl<T: Scalar> Core<T> {
    pub(crate) fn new(
        engine: Engine,
        buffers: Arc<GradientBuffers<T>>,
        spec: Arc<GradientSpec>,
        options: SumOptions,
    ) -> Self {
        let slots =
            (0..engine.config().total_num_replicas()).map(|_| ReplicaSlot::default()).collect();
        Self {
            sums: (0..buffers.len()).map(|_| None).collect(),
            buffers,
            spec,
            options,
            closing: None,
            round: StepContributions::default(),
            closed: None,
            totals: Totals::default(),
            slots,
            effects: Vec::new(),
            engine,
        }
    }

    /// Forgets the gradients of an earlier life; the engine was restored already. The caller must
    /// wake those that wait.
    // P-9
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        for sums in self.sums.iter_mut().flatten() {
            sums.clear();
        }
        self.round = StepContributions::default();
        self.closed = None;
        self.closing = None;
        let left = self.slots.iter_mut().map(std::mem::take);
        left.filter_map(|slot| {
            // A replica that computes for the old life is superseded (P-13).
            slot.grants.supersede();
            slot.mailbox.close()
        })
        .collect()
    }

    /// Admits and stores one replica's gradients as a unit; leaves behind those not stored.
    // P-11
    pub(crate) fn push(
        &mut self,
        push: &Push,
        gradients: &mut Vec<(usize, Gradient<T>)>,
        report: PushReport,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, PushError> {
        let lanes = self.lanes_of(gradients);
        let push = Push { lanes, ..push.clone() };
        let decision = self.engine.push(&push, now, effects)?;
        if decision.repeated {
            return Ok(decision.outcome);
        }
        self.totals.count(&decision.outcome, report.examples);
        if decision.outcome.is_accepted() {
            // In arrival order, how many came before.
            let key = report.share.unwrap_or(self.round.contributors().len() as u64);
            self.round.add(key, push.replica, report.loss, report.examples);
            self.store(gradients, key, &decision.outcome);
        }
        Ok(decision.outcome)
    }

    /// The first push with a variable decides what later ones must be like; another may have been
    /// first meanwhile.
    pub(crate) fn check_first(
        &mut self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), GradientError> {
        let misfit = |misfit| GradientError::kind(layout, misfit);
        if !self.spec.check(kinds(gradients)).map_err(misfit)? {
            let fixed = self.spec.fix(kinds(gradients));
            self.begin_sums(layout, fixed);
        }
        Ok(())
    }

    /// Declares the kinds before the first push, as the explicit way does.
    pub(crate) fn declare(&mut self, layout: &Layout, kinds: &[GradientKind]) {
        let kinds = kinds.iter().copied().enumerate();
        self.spec.declare(kinds.clone());
        self.begin_sums(layout, kinds);
    }

    fn begin_sums(
        &mut self,
        layout: &Layout,
        kinds: impl IntoIterator<Item = (usize, GradientKind)>,
    ) {
        for (index, kind) in kinds {
            self.sums[index] = match layout.kind(index) {
                VariableKind::Array(shape) => VariableSums::new(kind, shape, self.options, None),
                VariableKind::Table(_, table) => {
                    Some(VariableSums::of_table(table.width(), self.options))
                }
            };
        }
        self.engine.set_lanes(self.spec.with_gradients());
    }

    /// How many gradients are held for a variable, if it has any.
    pub(crate) fn num_accumulated(&self, variable: usize) -> Option<u64> {
        self.engine.num_accumulated(self.spec.lane(variable)?)
    }

    /// Turns effects into what to do outside the lock.
    pub(crate) fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) -> FollowUp<T> {
        let mut settled = FollowUp {
            wakers: Vec::with_capacity(effects.len()),
            closing: None,
            superseded: false,
            ended: false,
        };
        for effect in effects.drain(..) {
            match effect {
                Effect::Grant(grant) => {
                    if let Some(slot) = slot_of(&mut self.slots, grant.replica) {
                        let serial = slot.grants.next();
                        settled.wakers.extend(slot.mailbox.deliver(Granted {
                            grant,
                            serial,
                            at: now,
                        }));
                    }
                }
                Effect::Close { lane, count } => self.take(lane, count),
                Effect::Advanced { .. } => {
                    self.closed = None;
                    settled.superseded = true;
                }
                Effect::Superseded { replica } => {
                    if let Some(slot) = slot_of(&mut self.slots, replica) {
                        slot.grants.supersede();
                        settled.superseded = true;
                    }
                }
                Effect::TokenExpired { replica, cause } => {
                    tracing::warn!(%replica, %cause, "its token goes to another replica");
                    // Should it wait for one already, it must first stand in line.
                    let slot = slot_of(&mut self.slots, replica);
                    settled.wakers.extend(slot.and_then(|slot| slot.mailbox.notify()));
                }
                Effect::Overdue(overdue) => {
                    tracing::warn!(%overdue, "a step is overdue");
                    for &replica in &overdue.waiting {
                        if let Some(slot) = slot_of(&mut self.slots, replica) {
                            settled.wakers.extend(slot.mailbox.notify_overdue(overdue.clone()));
                        }
                    }
                }
                Effect::Ended => {
                    settled.ended = true;
                    settled
                        .wakers
                        .extend(self.slots.iter().filter_map(|slot| slot.mailbox.notify()));
                }
            }
        }
        let last = self.engine.is_updating();
        settled.closing = self.closing.take().map(|Taken { lanes, count, sums }| {
            let lanes = Some(lanes).filter(|_| !last);
            let round = match last {
                true => Arc::new(std::mem::take(&mut self.round)),
                false => Arc::new(self.round.clone()),
            };
            if last {
                self.closed = Some(Arc::clone(&round));
            }
            ClosedStep { lanes, count, sums, round, generation: self.engine.generation() }
        });
        settled
    }

    /// Accepted contributions of steps that are not made.
    pub(crate) fn unused(&self) -> Unused {
        let rounds = self.closed.as_deref().into_iter().chain([&self.round]);
        let replicas = rounds.clone().flat_map(StepContributions::replicas).collect();
        let examples = rounds.map(StepContributions::examples).fold(0, u64::saturating_add);
        Unused { replicas, examples }
    }

    pub(crate) fn slot(&mut self, replica: ReplicaId) -> Option<&mut ReplicaSlot> {
        slot_of(&mut self.slots, replica)
    }

    /// Time has passed. A process lives as long as any of its threads, so no replica here is
    /// silent; but one may hang.
    // P-28
    pub(crate) fn tick(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Option<Duration> {
        self.engine.renew_all(now);
        self.engine.tick(now, effects)
    }

    pub(crate) fn config(&self) -> &Config {
        self.engine.config()
    }

    fn lanes_of(&self, gradients: &[(usize, Gradient<T>)]) -> Option<Vec<usize>> {
        if self.engine.num_lanes() == 1 {
            return None;
        }
        let given = gradients.iter().filter(|(_, gradient)| !matches!(gradient, Gradient::Missing));
        Some(given.filter_map(|(index, _)| self.spec.lane(*index)).collect())
    }

    /// Moves admitted gradients into the sums. They were checked, so none can be refused now.
    fn store(&mut self, gradients: &mut Vec<(usize, Gradient<T>)>, key: u64, outcome: &Outcome) {
        for (index, gradient) in gradients {
            let index = *index;
            let lane = self.spec.lane(index);
            let admitted = match outcome {
                Outcome::Partly { accepted } => lane.is_some_and(|lane| accepted.contains(&lane)),
                _ => lane.is_some(),
            };
            let (true, Some(sums)) = (admitted, &mut self.sums[index]) else { continue };
            let gradient = std::mem::replace(gradient, Gradient::Missing);
            let added = sums.add(gradient, key, self.buffers.pool(index));
            if let Err(error) = added {
                tracing::error!(%error, "a checked gradient was refused");
            }
        }
    }

    /// Takes a lane's gradients.
    fn take(&mut self, lane: usize, count: u64) {
        let step = self.engine.global_step();
        let sums = self.sums.iter_mut().enumerate();
        let sums = sums
            .filter(|(index, _)| self.spec.lane(*index) == Some(lane))
            .filter_map(|(index, sums)| Some((index, sums.as_mut()?.drain(step)?)));
        let empty = || Taken { lanes: Vec::new(), count, sums: Vec::new() };
        let taken = self.closing.get_or_insert_with(empty);
        taken.count = count;
        taken.sums.extend(sums);
        if self.engine.num_lanes() > 1 {
            taken.lanes.push(lane);
        }
    }
}

impl<T: Scalar> ClosedStep<T> {
    /// Whether it completes the step.
    pub(crate) fn is_last(&self) -> bool {
        self.lanes.is_none()
    }
}

fn slot_of(slots: &mut [ReplicaSlot], replica: ReplicaId) -> Option<&mut ReplicaSlot> {
    slots.get_mut(usize::try_from(replica.get()).ok()?)
}
