//! The ends of a replica: cleanly with a report, or without one.

use sync_replicas::{GlobalStep, Scalar};

use super::super::hooks::ChiefHooks;
use super::super::{ClusterError, ClusterReport};
use super::Worker;
use crate::client::{Departure, WaitError};

impl<T: Scalar> Worker<T> {
    /// The end of its part: if training has not ended, it leaves like a replica whose data has.
    pub(super) async fn finish(mut self) -> Result<ClusterReport<T>, ClusterError> {
        if self.client.has_failed() {
            let reason = self.client.ended().unwrap_or_default().to_owned();
            return Err(self.fail(WaitError::Failed { reason }.into()).await);
        }
        if !self.left && self.client.ended().is_none() {
            self.leave(Departure::Done).await;
        }
        crash_point!("worker/before-result");
        // A replica that left would join again to fetch them.
        let last = if self.left { None } else { self.client.final_variables().await };
        let (global_step, variables) = match last {
            Some((step, variables)) => (step, Some(variables.clone())),
            None => (self.client.last_step().unwrap_or(self.client.global_step()), None),
        };
        self.run_hooks().await?;
        self.hooks.as_ref().map_or(Ok(()), ChiefHooks::close)?;
        let recorded = match self.record.take().filter(|_| !self.left) {
            Some(record) => self.client.final_record().await.map(|recorded| (record, recorded)),
            None => None,
        };
        self.client.close().await;
        crash_point!("worker/before-report");
        let mut report = ClusterReport {
            task: self.task,
            global_step,
            first_step: GlobalStep::default(),
            stopped: self.client.ended().unwrap_or("its data has ended").to_owned(),
            elapsed: self.begun.elapsed(),
            counts: self.counts,
            totals: self.hooks.as_ref().map(ChiefHooks::totals).unwrap_or_default(),
            generation: self.client.generation(),
            left: self.left,
            replicas: Vec::new(),
            variables,
        };
        if let Some((record, mut recorded)) = recorded {
            // They were told of as they happened.
            recorded.news.failed_saves.clear();
            record.add_news(recorded.news);
            (report.totals, report.replicas) = (recorded.totals, recorded.replicas);
            (report.elapsed, report.first_step) = (recorded.elapsed, recorded.first_step);
        }
        Ok(report)
    }

    /// There is nothing more to say; gives the error back.
    pub(super) async fn fail(mut self, error: ClusterError) -> ClusterError {
        // Servers that have ended wait for processes that may not have heard of it.
        self.client.close().await;
        error
    }

    /// Leaves without a report; hooks have no last turn.
    pub(super) async fn abandon(mut self, departure: Departure) {
        self.leave(departure).await;
        self.client.close().await;
    }
}
