//! A look at a training: the step, the tokens, the replicas, and which of them the step waits for.
//!
//! Plain data; looking changes nothing.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Scalar;
use crate::runtime::Shared;
use crate::store::Totals;
use crate::sync::Arc;
use engine::{Engine, ReplicaId};

/// A look at a training: of one process, or of a cluster as its coordinator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The life of the shared state.
    pub generation: u64,
    /// The number of updates done.
    pub global_step: i64,
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// Contributions that the open step holds.
    pub gradients: u64,
    /// The same by lane: one for all variables, or, if each is admitted by itself, one for each
    /// that has gradients, in their order.
    pub gradients_by_lane: Vec<u64>,
    /// Tokens in the queue.
    pub tokens: usize,
    /// Why training ended, if it has.
    pub ended: Option<String>,
    /// The counters.
    pub totals: Totals,
    /// The replicas that hold a token and have not pushed, and for how many seconds.
    pub waiting_for: Vec<(u64, f64)>,
    /// How many seconds a replica may work with one token at present; `None` for no limit.
    pub step_timeout: Option<f64>,
    /// Each replica.
    pub replicas: Vec<ReplicaStatus>,
}

/// A look at one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Which one.
    pub replica: u64,
    /// `absent`, `computing`, `waiting`, `silent` (its lease is running out), `timed_out` (it
    /// lives, and works on one batch for so long that another has its token), `left` or `failed`.
    pub state: Cow<'static, str>,
    /// Seconds since it was last heard of, if it is a member; always heard of in one process.
    pub silent_seconds: Option<f64>,
    /// The step that it claims.
    pub local_step: i64,
    /// Gradients that became part of a step, even of steps that a restore took back.
    pub accepted: u64,
    /// Gradients dropped because their step was over.
    pub stale: u64,
    /// Tokens that went to another, since its lease or its time for a step ran out.
    pub expired: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Status {
    /// What the engine alone knows; nothing of its replicas.
    #[must_use]
    pub fn of_engine(engine: &Engine, totals: Totals, now: Duration) -> Self {
        let total = engine.config().total_num_replicas();
        let since = |then: Duration| now.saturating_sub(then).as_secs_f64();
        let working = |index: usize| {
            let began = engine.working_since(ReplicaId::new(index as u64))?;
            Some((index as u64, since(began)))
        };
        let lanes = (0..engine.num_lanes()).filter_map(|lane| engine.num_accumulated(lane));
        Self {
            generation: engine.generation().get(),
            global_step: engine.global_step().get(),
            replicas_to_aggregate: engine.config().replicas_to_aggregate(),
            total_num_replicas: total,
            gradients: engine.num_accumulated(0).unwrap_or(0),
            gradients_by_lane: lanes.collect(),
            tokens: engine.num_tokens(),
            ended: engine.stopped().map(ToString::to_string),
            totals,
            waiting_for: (0..total).filter_map(working).collect(),
            step_timeout: engine.step_timeout().map(|limit| limit.as_secs_f64()),
            replicas: Vec::new(),
        }
    }
}

impl ReplicaStatus {
    /// What the engine alone knows.
    #[must_use]
    pub fn of_engine(engine: &Engine, replica: ReplicaId) -> Self {
        let tally = engine.tally(replica).unwrap_or_default();
        let live = engine.is_live(replica);
        let state = match live {
            false => "absent",
            true if engine.working_since(replica).is_some() => "computing",
            true => "waiting",
        };
        Self {
            replica: replica.get(),
            state: Cow::Borrowed(state),
            silent_seconds: live.then_some(0.0),
            local_step: engine.local_step(replica).map_or(0, |step| step.get()),
            accepted: tally.accepted,
            stale: tally.stale,
            expired: tally.expired,
            failure: None,
        }
    }
}

/// Reports the state of a training in this process; from any thread, at any time.
#[derive(Clone, Debug)]
pub struct StatusHandle<T: Scalar> {
    shared: Arc<Shared<T>>,
}

impl<T: Scalar> StatusHandle<T> {
    pub(crate) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// A look at everything, as of now.
    #[must_use]
    pub fn get(&self) -> Status {
        let now = self.shared.now();
        let core = self.shared.core();
        let engine = &core.engine;
        let total = engine.config().total_num_replicas() as u64;
        let replica = |id| ReplicaStatus::of_engine(engine, ReplicaId::new(id));
        let status = Status::of_engine(engine, core.totals, now);
        Status { replicas: (0..total).map(replica).collect(), ..status }
    }
}
