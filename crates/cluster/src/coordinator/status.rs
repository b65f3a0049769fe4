//! Who is alive, the step, the tokens, and which replicas the step waits for, and since when.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sync_replicas::ReplicaId;

use super::{Coordinator, Totals};

/// A look at the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The life of the shared state.
    pub generation: u64,
    /// The number of updates done.
    pub global_step: i64,
    /// A.
    pub replicas_to_aggregate: usize,
    /// N.
    pub total_num_replicas: usize,
    /// Contributions that the open step holds.
    pub gradients: u64,
    /// The same by lane: one for all variables, or where each is admitted by itself one for each
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
    /// Seconds since it was last heard of.
    pub silent_seconds: Option<f64>,
    /// The step that it claims.
    pub local_step: i64,
    /// Gradients that became part of a step.
    pub accepted: u64,
    /// Gradients dropped because their step was over.
    pub stale: u64,
    /// Tokens that went to another, since its lease or its time for a step ran out.
    pub expired: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Coordinator {
    /// A look at everything, as of `now`.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let engine = &self.engine;
        let since = |then: Duration| now.saturating_sub(then).as_secs_f64();
        let holding = self.records.iter().enumerate().filter(|(_, record)| record.live);
        let holding = holding.filter(|(_, record)| record.grant.is_some());
        Status {
            generation: engine.generation().get(),
            global_step: engine.global_step().get(),
            replicas_to_aggregate: engine.config().replicas_to_aggregate(),
            total_num_replicas: engine.config().total_num_replicas(),
            gradients: engine.num_accumulated(0).unwrap_or(0),
            gradients_by_lane: (0..engine.num_lanes())
                .filter_map(|lane| engine.num_accumulated(lane))
                .collect(),
            tokens: engine.num_tokens(),
            ended: engine.stopped().map(ToString::to_string),
            totals: self.totals(),
            waiting_for: holding
                .map(|(index, record)| (index as u64, since(record.granted)))
                .collect(),
            step_timeout: engine.step_timeout().map(|limit| limit.as_secs_f64()),
            replicas: (0..self.records.len()).map(|index| self.replica(index, now)).collect(),
        }
    }

    fn replica(&self, index: usize, now: Duration) -> ReplicaStatus {
        let (record, id) = (&self.records[index], ReplicaId::new(index as u64));
        let silent = now.saturating_sub(record.heard);
        let lease = self.engine.config().settings().lease;
        let state = match record {
            record if !record.live && record.failure.is_some() => "failed",
            record if !record.live && record.left => "left",
            record if !record.live => "absent",
            _ if lease.is_some_and(|lease| silent >= lease) => "silent",
            record if record.grant.is_some() && record.timed_out => "timed_out",
            record if record.grant.is_some() => "computing",
            _ => "waiting",
        };
        let tally = self.engine.tally(id).unwrap_or_default();
        ReplicaStatus {
            replica: index as u64,
            state: Cow::Borrowed(state),
            silent_seconds: record.live.then_some(silent.as_secs_f64()),
            local_step: self.engine.local_step(id).map_or(0, |step| step.get()),
            accepted: tally.accepted,
            stale: tally.stale,
            expired: tally.expired,
            failure: record.failure.clone(),
        }
    }
}
