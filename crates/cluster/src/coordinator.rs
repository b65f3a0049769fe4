//! The coordinator: the engine behind tickets, and the requests that its replicas may repeat.
//!
//! It decides nothing that the engine decides. It adds what any network needs: each sender shows
//! its generation and incarnation, each piece of work has a number, and a message that comes twice
//! is answered twice and acted on once (P-9, P-15). No clock, no lock, no socket.

mod answer;
mod awaited;
mod decisions;
mod events;
mod leaving;
mod observed;
mod receipts;
mod settings;
mod settle;
mod silence;
mod status;
mod step_stats;
mod times;
mod vet;

pub use answer::{Actions, Answer, Commit, GiveUp, GivenUp, Refusal};
pub use decisions::batch_size;
pub use leaving::{Farewell, Saves};
pub use observed::Observed;
pub use receipts::receipt;
pub use settings::CoordinatorSettings;
pub use step_stats::StepMade;
pub use sync_replicas::status::{ReplicaStatus, Status};
pub use sync_replicas::store::Totals;
pub use times::{Times, Traffic};

pub use crate::command::{Contribution, Decision, ShardCommand, Ticket};

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::checkpoint::Tested;
use sync_replicas::driver::{Generation, Incarnation};
use sync_replicas::engine::{
    Admission, Effect, Engine, FailureCounts, Grant, Positions, StartError, StopReason,
};

use crate::index::VariableIndex;
use decisions::Decisions;
use leaving::LeavingServers;
use observed::Observations;
use step_stats::StepStats;
use times::{DoneWork, Spent};

/// The engine and one record a replica.
#[derive(Debug)]
pub struct Coordinator {
    engine: Engine,
    /// The present time, as told.
    now: Duration,
    /// What the engine has answered, and what to do.
    effects: Vec<Effect>,
    actions: Actions,
    records: Vec<ReplicaRecord>,
    /// The replicas that have a grant: a step made concerns no others.
    working: BTreeSet<usize>,
    /// By replica.
    spent: Vec<Spent>,
    step_stats: StepStats,
    /// Per variable: those with a gradient, in order; a lane is a place in it. Fixed by the first
    /// contribution.
    pattern: Option<Vec<VariableIndex>>,
    /// How many variables there are.
    variables: usize,
    /// How many shards carry orders out.
    shards: usize,
    /// The secret of the shards' receipts.
    secret: u64,
    /// What shards have not heard yet.
    decisions: Decisions,
    /// By lane: the shards whose update is not done.
    updating: Vec<usize>,
    /// How many lanes of the open step have closed.
    closed_lanes: usize,
    last_step: Option<i64>,
    leaving: LeavingServers,
    observations: Observations,
    /// Failures at one batch, if it then goes to another replica.
    failure_counts: FailureCounts,
    /// Whether to end when the loss is NaN or infinite.
    nan_guard: bool,
    /// Training ended since a loss or an update is not finite.
    not_finite: bool,
}

/// What is known of one replica.
#[derive(Clone, Debug, Default)]
struct ReplicaRecord {
    /// The process that has the place, or had it last.
    process: Option<u64>,
    /// The latest connection over which it was let in.
    connection: u64,
    /// The latest of those that had it before, and do not get it back.
    replaced: VecDeque<u64>,
    incarnation: Incarnation,
    live: bool,
    /// The granted, or awaited, piece of work.
    sequence: u64,
    grant: Option<Grant>,
    /// The last piece of work that was pushed; others up to `sequence` were given up.
    pushed: u64,
    /// How many pieces of its work shards may hold whole, without having heard of them.
    owed: usize,
    /// When it was last heard of.
    heard: Duration,
    /// Since when it has had its grant.
    granted: Duration,
    /// Another replica has its token, since it took too long (P-28).
    timed_out: bool,
    /// Why it left, if it gave a reason.
    failure: Option<String>,
    /// It left because its data ended or it failed; it is not expected back.
    left: bool,
}

impl ReplicaRecord {
    fn ticket(&self, generation: Generation) -> Ticket {
        Ticket { generation, incarnation: self.incarnation }
    }
}

impl Coordinator {
    /// At step 0, in a generation that no earlier life had.
    #[must_use]
    pub fn new(settings: CoordinatorSettings, generation: Generation) -> Self {
        let (replicas, variables) = (settings.config.total_num_replicas(), settings.variables);
        Self {
            engine: Engine::new(settings.config, variables, GlobalStep::default(), generation),
            now: Duration::ZERO,
            effects: Vec::new(),
            actions: Actions::default(),
            records: vec![ReplicaRecord::default(); replicas],
            working: BTreeSet::new(),
            spent: vec![Spent::default(); replicas],
            step_stats: StepStats::default(),
            pattern: None,
            variables,
            shards: settings.shards,
            secret: settings.secret,
            decisions: Decisions::new(settings.batch),
            updating: vec![0; variables.max(1)],
            closed_lanes: 0,
            last_step: settings.last_step,
            leaving: LeavingServers::default(),
            observations: Observations::new(settings.observed),
            failure_counts: FailureCounts::default(),
            nan_guard: settings.nan_guard,
            not_finite: false,
        }
    }

    /// Sets the time for the calls that follow.
    pub fn at(&mut self, now: Duration) -> &mut Self {
        self.now = now;
        self
    }

    /// What to do since the last call.
    pub fn take_actions(&mut self) -> Actions {
        let decided = self.due_decisions().map(ShardCommand::Decide);
        self.actions.commands.extend(decided);
        std::mem::take(&mut self.actions)
    }

    /// Initial tokens go out; from now on steps close.
    ///
    /// # Errors
    /// [`StartError`] when the initial tokens are too few.
    pub fn start(&mut self) -> Result<(), StartError> {
        let initial = self.engine.config().settings().initial_tokens;
        let tokens = self.engine.start_chief(initial, self.now, &mut self.effects)?;
        self.observations.note(|| Observed::Started { tokens });
        self.settle();
        self.end_if_reached();
        Ok(())
    }

    /// A new generation from a saved state: all replicas join again (P-9).
    pub fn restore(&mut self, global_step: GlobalStep, after: Generation, positions: &Positions) {
        self.keep_counts();
        self.engine.restore(global_step, after, self.engine.num_lanes());
        if !self.engine.set_positions(positions) {
            tracing::warn!("{}", sync_replicas::engine::INEXACT_POSITIONS);
        }
        for record in &mut self.records {
            let ReplicaRecord { process, connection, replaced, left, .. } = std::mem::take(record);
            let new = ReplicaRecord::default();
            *record = ReplicaRecord { process, connection, replaced, left, ..new };
        }
        self.working.clear();
        self.decisions.forget();
        self.step_stats.forget_round();
        self.leaving = LeavingServers::default();
        self.not_finite = false;
        self.updating.fill(0);
        self.closed_lanes = 0;
    }

    /// Training ends for all (P-1, P-2).
    pub fn stop(&mut self, reason: StopReason) {
        self.engine.stop(reason, &mut self.effects);
        self.settle();
    }

    /// A loss or an update is not finite: training ends, and nothing of the step is published or
    /// saved (P-25).
    pub fn not_finite(&mut self, reason: String) {
        self.not_finite |= self.engine.stopped().is_none();
        self.stop(StopReason::Failed(reason));
    }

    /// What the losses tell of checkpoints, if a number that is not finite ended training.
    #[must_use]
    pub fn tested_when_not_finite(&self) -> Option<Tested> {
        self.not_finite.then(|| self.step_stats.tested())
    }

    /// Time has passed (P-5); when to call again, at the latest.
    pub fn tick(&mut self) -> Option<Duration> {
        let silent = self.end_silent();
        self.observations.note(|| Observed::Ticked);
        let next = self.engine.tick(self.now, &mut self.effects);
        self.settle();
        next.into_iter().chain(silent).min()
    }

    /// One shard has updated a variable, or all where they are admitted together. The last one
    /// moves the step.
    pub fn applied(&mut self, variable: Option<VariableIndex>) {
        let Some(lane) = self.lane_of(variable) else { return };
        let Some(left) = self.updating.get_mut(lane).filter(|left| **left > 0) else { return };
        *left -= 1;
        if *left == 0 {
            self.engine.applied(lane, self.now, &mut self.effects);
            self.settle();
            self.end_if_reached();
        }
    }

    /// The running generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.engine.generation()
    }

    /// The number of updates done.
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.engine.global_step()
    }

    /// The run's position in its data, for a checkpoint ordered now: it includes an update that was
    /// ordered and not yet answered.
    #[must_use]
    pub fn positions(&self) -> Positions {
        let step = self.engine.global_step();
        let ordered = self.closed_lanes == 0 && self.updating.iter().any(|left| *left > 0);
        let saved = if ordered { step.next().unwrap_or(step) } else { step };
        self.engine.positions(saved)
    }

    /// The engine, for reading.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The three counters (P-8).
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.step_stats.totals()
    }

    fn end_if_reached(&mut self) {
        let step = self.engine.global_step().get();
        if self.last_step.is_some_and(|last| step >= last) {
            let reason = format!("step {step} was reached");
            self.stop(StopReason::Requested(reason));
        }
    }

    /// A replica has finished with its grant, if it has one.
    fn take_grant(&mut self, index: usize) -> Option<Grant> {
        self.working.remove(&index);
        self.records[index].grant.take()
    }

    fn is_per_variable(&self) -> bool {
        self.engine.config().settings().admission == Admission::PerVariable
    }

    /// The lane that admits a variable's gradient.
    fn lane_of(&self, variable: Option<VariableIndex>) -> Option<usize> {
        match (self.is_per_variable(), variable) {
            (true, Some(variable)) => {
                self.pattern.as_ref()?.iter().position(|&known| known == variable)
            }
            (true, None) => None,
            (false, _) => Some(0),
        }
    }

    /// The variable of a lane, where each has its own.
    fn variable_of(&self, lane: usize) -> Option<VariableIndex> {
        if self.is_per_variable() { self.pattern.as_ref()?.get(lane).copied() } else { None }
    }
}
