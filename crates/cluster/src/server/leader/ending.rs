//! The end of training: saved first, then told to all, then held until all have heard. And the end
//! of single servers, which leave once their state is saved.
//!
//! A process that was told does not come back, so the last updates could not be made again; one
//! that was not told looks for servers that are gone. Invariant: the first reason stands, and once
//! the end was told nothing takes it back.

use std::time::Duration;

use sync_replicas::driver::describe;
use sync_replicas::engine::StopReason;
use sync_replicas::{GlobalStep, ReplicaId, Scalar, checkpoint};

use super::{Job, Leader, Phase};
use crate::blocking::blocking;
use crate::coordinator::{Farewell, Saves};
use crate::index::ServerIndex;
use crate::proto::Ended;
use crate::server::parameter_server::Release;
use crate::wire;

/// How long after the end it is told, and the last variables can be fetched.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

impl<T: Scalar> Leader<T> {
    /// Ends training from outside: at once if it is served, and otherwise as soon as it is.
    pub(crate) fn stop(&mut self, reason: StopReason) {
        if !self.is_serving() && self.ending.is_none() {
            tracing::info!(%reason, "training ends once the servers are ready");
            self.deferred.stop.get_or_insert(reason);
            return;
        }
        self.coordinator().stop(reason);
        self.act();
    }

    /// Training ended, which is told once a last checkpoint is on disk.
    pub(super) fn end(&mut self, reason: StopReason) {
        if self.ending.is_some() {
            return;
        }
        let ended = told(reason, self.coordinator.global_step());
        tracing::info!(reason = ended.reason, failed = ended.failed, "training ended");
        self.history.ended = Some(self.now());
        let failed = ended.failed;
        self.ending = Some(ended);
        if !failed {
            self.save_if_new();
        }
    }

    /// Another process has taken this one's place (P-26): it has nothing more to write, and nothing
    /// to tell.
    pub(crate) fn was_replaced(&mut self, reason: String) {
        tracing::error!(reason, "this coordinator was replaced");
        self.replaced.get_or_insert(reason);
        self.jobs.push(Job::GiveUp);
    }

    /// Another server does not accept this coordinator, in these words, or no longer says so.
    pub(crate) fn note_refusal(&mut self, server: ServerIndex, words: Option<String>) {
        match words {
            Some(words) => drop(self.refusals.insert(server, words)),
            None => drop(self.refusals.remove(&server)),
        }
    }

    /// Ends training where no generation can begin: what is on disk, of this step, is all.
    pub(super) fn end_without(&mut self, step: GlobalStep, reason: StopReason) {
        let ended = told(reason.clone(), step);
        let (words, failed) = (&ended.reason, ended.failed);
        tracing::info!(reason = words, failed, %step, "training ended; the servers were not ready");
        // For its status alone: it serves no replica.
        self.coordinator().stop(reason);
        drop(self.coordinator.take_actions());
        self.ending = Some(ended);
        self.finish_if_saved();
    }

    /// Another server was told of the end by an earlier life of this one, which saved first: there
    /// is nothing to begin, and nothing to save. Whether that is news.
    pub(super) fn learn_of_end(&mut self, ended: Ended) -> bool {
        let new = self.ending.is_none();
        if new {
            if self.is_serving() {
                self.phase = Phase::Recovering;
            }
            self.saving.give_up();
            let Ended { reason, failed, global_step } = ended;
            let reason = wire::reason(reason);
            let reason = match failed {
                true => StopReason::Failed(reason),
                false => StopReason::Requested(reason),
            };
            self.end_without(GlobalStep::new(global_step), reason);
        }
        new
    }

    /// Tells all processes that it is over, once no update is under way and nothing is left to save
    /// (P-1).
    pub(super) fn finish_if_saved(&mut self) {
        if self.saving.is_done()
            && !self.is_updating()
            && !self.own.is_over()
            && let Some(mut ended) = self.ending.take()
        {
            crash_point!("coordinator/all-saved");
            if self.is_serving() {
                ended.global_step = self.coordinator.global_step().get();
            }
            self.keep_good(&mut ended);
            self.tell_servers(&ended);
            self.ending = Some(ended);
        }
    }

    /// Whether some servers have yet to make the last update; of a failed training none may come.
    fn is_updating(&self) -> bool {
        let failed = self.ending.as_ref().is_some_and(|ended| ended.failed);
        self.is_serving() && !failed && self.coordinator.engine().is_updating()
    }

    /// Tells all servers that it is over; those that know it already keep to that.
    fn tell_servers(&self, ended: &Ended) {
        self.servers.iter().for_each(|server| server.end(ended));
    }

    /// After an end by numbers that are not finite: sets aside checkpoints that are not known to be
    /// good, and names the newest good one (P-25).
    fn keep_good(&self, ended: &mut Ended) {
        let Some(tested) = self.coordinator.tested_when_not_finite() else { return };
        let Some(checkpoints) = &self.settings.duties.checkpoints else { return };
        let kept = match blocking(|| checkpoint::set_aside(&checkpoints.folder, tested)) {
            Ok(kept) => kept.to_string(),
            Err(error) => format!("bad checkpoints were not set aside: {}", describe(&error)),
        };
        ended.reason = format!("{}; {kept}", ended.reason);
    }

    /// A server was lost after the end: whether the end stands. If no process has heard of it, all
    /// can make the last updates again, or end at an earlier step as requested.
    pub(super) fn stays_ended(&mut self) -> bool {
        match self.ending.take() {
            None => false,
            Some(ended) if self.own.is_over() => {
                // The lost one is to hear of it when it comes back.
                self.tell_servers(&ended);
                self.ending = Some(ended);
                true
            }
            Some(ended) if ended.failed => {
                self.ending = Some(ended);
                self.finish_if_saved();
                true
            }
            Some(ended) => {
                tracing::warn!("a server was lost before the last checkpoint was written");
                self.ending = Some(ended);
                self.take_back_end();
                false
            }
        }
    }

    /// An end that reached no process must be requested again by the next life, unless that is at
    /// its last step anyway.
    fn take_back_end(&mut self) {
        if let Some(ended) = self.ending.take_if(|ended| !ended.failed)
            && !self.is_last(ended.global_step)
        {
            self.deferred.stop.get_or_insert(StopReason::Requested(ended.reason));
        }
    }

    /// Whether training ends after this step.
    pub(super) fn is_last(&self, step: i64) -> bool {
        self.settings.duties.last_step.is_some_and(|last| step >= last)
    }

    /// A replica has closed its connection, as it does once it has heard of the end. A broken one
    /// may be that of a process that died before it read the message, and is started again.
    pub(crate) fn has_heard(&mut self, replica: ReplicaId) {
        // Under the leader's lock the end is told and then noted, and a quick replica has closed in
        // between.
        if self.own.is_over() {
            self.heard.insert(replica);
        }
    }

    /// Whether some process that may hear of the end has not: another server, or a replica that was
    /// heard of lately, even a dead one; it may be started again, if `absent` ones are waited for.
    /// Where the generation has just begun, or none has, no replica can have come yet.
    pub(crate) fn awaits(&self, absent: bool) -> bool {
        let now = self.now();
        let began = self.history.served.unwrap_or(now);
        let lately = |heard: Duration| now < heard.max(began) + GRACE;
        let mut replicas = self.coordinator.awaited().filter(|(_, heard)| lately(*heard));
        absent && replicas.any(|(replica, _)| !self.heard.contains(&replica))
            || self.servers.iter().any(|server| server.open_orders() > 0)
    }

    /// A server asks to leave: it may at once, or a checkpoint comes first. If training is ending,
    /// it ends with it, unless that is taken back.
    pub(crate) fn server_leaves(&mut self, server: ServerIndex) {
        let saves = Saves {
            updates: self.saving.updates,
            on_disk: self.saving.on_disk,
            possible: self.is_serving() && self.settings.duties.checkpoints.is_some(),
            under_way: self.saving.is_written(),
            ending: self.ending.is_some(),
        };
        match self.coordinator.server_leaves(server, saves) {
            Farewell::Go => {
                if !self.own.is_over() {
                    // A last save would lack what those who left have had.
                    self.take_back_end();
                }
                self.release(vec![server], &Release::Saved);
            }
            Farewell::Save => self.begin_save(),
            Farewell::Wait => {}
        }
    }

    /// Tells servers that they may leave.
    pub(super) fn release(&self, servers: Vec<ServerIndex>, release: &Release) {
        for server in servers.into_iter().filter_map(|it| self.servers.get(it.get())) {
            server.release(release.clone());
        }
    }
}

/// The end in the words that all processes are told.
fn told(reason: StopReason, step: GlobalStep) -> Ended {
    let (reason, failed) = match reason {
        StopReason::Failed(reason) => (reason, true),
        StopReason::Requested(reason) => (reason, false),
    };
    Ended { reason, failed, global_step: step.get() }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
