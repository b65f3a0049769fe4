//! The end of training: saved first, then told to everybody, then waited for until all have heard.
//!
//! Whoever is told does not come back, so nobody could make the last updates again; whoever is not
//! told looks for servers that are gone. Invariant: the first reason stands, and once the end was
//! told nothing takes it back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sync_replicas::engine::StopReason;
use sync_replicas::{GlobalStep, ReplicaId, Scalar, checkpoint};

use super::hub::Hub;
use super::node::{Node, lock};
use super::saving::blocking;
use crate::client::words;
use crate::coordinator::Actions;
use crate::proto::Ended;
use crate::proto::order::Order;
use crate::proto::to_replica::Message;

/// After the end it is told, and the last variables can be fetched, for so long.
pub(super) const GRACE: Duration = Duration::from_secs(10);

const LOOK: Duration = Duration::from_millis(20);

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Ends training from outside: at once where it is served, and otherwise as soon as it is.
    pub(crate) fn stop(self: &Arc<Self>, reason: StopReason) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if !hub.serving && hub.ending.is_none() {
            tracing::info!(%reason, "training ends once the servers are ready");
            hub.wishes.stop.get_or_insert(reason);
            return;
        }
        let mut actions = Actions::default();
        hub.coordinator.stop(reason, self.now(), &mut actions);
        self.act(&mut hub, actions);
    }

    /// Training ended, which is told once a last checkpoint is on disk.
    pub(super) fn end(self: &Arc<Self>, hub: &mut Hub<T>, reason: String, failed: bool) {
        if hub.ending.is_some() {
            return;
        }
        tracing::info!(reason, failed, "training ended");
        let global_step = hub.coordinator.global_step().get();
        hub.trained.1 = Some(self.now());
        hub.ending = Some(Ended { reason, failed, global_step });
        if !failed {
            self.save_if_new(hub);
        }
    }

    /// Ends training where no generation can begin: what is on disk, of this step, is all.
    pub(super) fn end_without(&self, step: GlobalStep, reason: String, failed: bool) {
        tracing::info!(reason, failed, %step, "training ended; the servers were not ready");
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        let stop = match failed {
            true => StopReason::Failed(reason.clone()),
            false => StopReason::Requested(reason.clone()),
        };
        // For its status alone: it serves nobody.
        hub.coordinator.stop(stop, self.now(), &mut Actions::default());
        hub.ending = Some(Ended { reason, failed, global_step: step.get() });
        self.finish_if_saved(&mut hub);
    }

    /// Another server was told of the end by an earlier life of this one, which saved first: there
    /// is nothing to begin, and nothing to save.
    pub(super) fn learn_of_end(&self, ended: Ended) {
        let Some(hub) = &self.hub else { return };
        let mut hub = lock(hub);
        if hub.ending.is_none() {
            (hub.serving, hub.saving, hub.retry) = (false, None, None);
            drop(hub);
            self.end_without(GlobalStep::new(ended.global_step), ended.reason, ended.failed);
            self.saved.notify_one();
        }
    }

    /// Tells everybody that it is over, once nothing is left to be saved (P-1).
    pub(super) fn finish_if_saved(&self, hub: &mut Hub<T>) {
        if hub.saving.is_none()
            && hub.retry.is_none()
            && !self.is_over()
            && let Some(mut ended) = hub.ending.clone()
        {
            crash_point!("coordinator/all-saved");
            self.keep_good(hub, &mut ended);
            hub.ending = Some(ended.clone());
            self.posts().send_to_all(&Message::Ended(ended.clone()));
            hub.tell_servers(&ended);
            self.over.send_replace(Some(ended));
        }
    }

    /// After an end by numbers that are not finite: sets aside checkpoints that are not known to be
    /// good, and says which one is (P-25).
    fn keep_good(&self, hub: &Hub<T>, ended: &mut Ended) {
        let Some(tested) = hub.coordinator.tested_when_not_finite() else { return };
        let Some(checkpoints) = &self.settings.checkpoints else { return };
        let kept = match blocking(|| checkpoint::set_aside(&checkpoints.folder, tested)) {
            Ok(kept) => kept.to_string(),
            Err(error) => format!("bad checkpoints were not set aside: {}", words(&error)),
        };
        ended.reason = format!("{}; {kept}", ended.reason);
    }

    /// A replica has closed its connection, as it does once it has heard of the end. One that
    /// breaks may be that of a process which died with the word unread, and is started again.
    pub(super) fn has_heard(&self, replica: ReplicaId) {
        let Some(hub) = &self.hub else { return };
        // The lock first: under it the end is told and then noted, and a quick replica has closed
        // in between.
        let mut hub = lock(hub);
        if self.is_over() {
            hub.heard.insert(replica);
        }
    }

    /// Whether the end was told.
    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Waits, after the end, until everybody has heard of it and has what it wants, at most
    /// [`GRACE`].
    pub(super) async fn until_all_have_heard(&self) {
        let all = async {
            while self.is_waited_for() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, all).await;
    }

    /// Whether somebody is here who wants the last variables, or will come to hear of the end.
    fn is_waited_for(&self) -> bool {
        if !self.posts().replicas().is_empty() {
            return true;
        }
        match &self.hub {
            Some(hub) => lock(hub).awaits(self.now(), !self.leaving.load(Ordering::Acquire)),
            // The coordinator knows who has not come yet.
            None => lock(&self.served).is_linked(),
        }
    }
}

impl<T: Scalar> Hub<T> {
    /// Tells the other servers that it is over.
    pub(super) fn tell_servers(&self, ended: &Ended) {
        for link in &self.links {
            link.send(Order::End(ended.clone()));
        }
    }

    /// Whether somebody has not heard of the end who may: another server, or a replica that was
    /// heard of lately, also if it has died; it may be started again, if `absent` ones are waited
    /// for. Where the generation has just begun, or none has, nobody can have come yet.
    fn awaits(&self, now: Duration, absent: bool) -> bool {
        let began = self.began.unwrap_or(now);
        let lately = |heard: Duration| now < heard.max(began) + GRACE;
        let mut replicas = self.coordinator.awaited().filter(|(_, heard)| lately(*heard));
        absent && replicas.any(|(replica, _)| !self.heard.contains(&replica))
            || self.links.iter().any(|link| !link.is_idle())
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
