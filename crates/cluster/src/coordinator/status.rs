//! Which replicas are alive, the step, the tokens, and which replicas the step waits for, since
//! when.

use std::borrow::Cow;
use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::status::{ReplicaStatus, Status};

use super::Coordinator;

impl Coordinator {
    /// A look at everything, as of `now`.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let holding = self.records.iter().enumerate().filter(|(_, record)| record.live);
        let holding = holding.filter(|(_, record)| record.grant.is_some());
        let since = |then: Duration| now.saturating_sub(then).as_secs_f64();
        Status {
            // A token is held from when it was sent, whatever its lease has come to.
            waiting_for: holding
                .map(|(index, record)| (index as u64, since(record.granted)))
                .collect(),
            replicas: (0..self.records.len()).map(|index| self.replica(index, now)).collect(),
            ..Status::of_engine(&self.engine, self.totals(), now)
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
        ReplicaStatus {
            state: Cow::Borrowed(state),
            silent_seconds: record.live.then_some(silent.as_secs_f64()),
            failure: record.failure.clone(),
            ..self.counted(ReplicaStatus::of_engine(&self.engine, id), index)
        }
    }

    /// Including the counts of past generations.
    fn counted(&self, status: ReplicaStatus, index: usize) -> ReplicaStatus {
        let before = self.spent[index].before();
        ReplicaStatus {
            accepted: status.accepted.saturating_add(before.accepted),
            stale: status.stale.saturating_add(before.stale),
            expired: status.expired.saturating_add(before.expired),
            ..status
        }
    }
}
