//! The coordinator among the shards: what it decides is carried out here and told to everybody.
//!
//! One lock holds the coordinator while its orders go out, so every shard gets them in one order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::engine::StopReason;
use sync_replicas::{Generation, GlobalStep, ReplicaId, Scalar};

use super::link::LinkHandle;
use super::node::{Node, NodeSettings, lock};
use super::saving::Saving;
use crate::coordinator::{Actions, Coordinator, Refusal, StepMade, Ticket};
use crate::proto::to_replica::Message;
use crate::proto::{self, ToReplica};
use crate::wire;

/// The coordinator and its links to the other servers.
pub(crate) struct Hub<T: Scalar> {
    pub(crate) coordinator: Coordinator,
    /// To the servers from number 1 on.
    pub(super) links: Vec<LinkHandle>,
    /// Whether all shards are in the coordinator's generation.
    pub(super) serving: bool,
    pub(super) saving: Option<Saving<T>>,
    /// Training ended; this is told once everything is saved.
    pub(super) ending: Option<proto::Ended>,
    /// Steps that were made lately, and when: for the rate.
    pub(super) pace: VecDeque<(Duration, GlobalStep)>,
}

impl<T: Scalar + bytemuck::Pod> Hub<T> {
    pub(super) fn new(settings: &NodeSettings, secret: u64) -> Self {
        let mut coordinator = Coordinator::new(
            settings.config.clone(),
            settings.variables,
            settings.placement.shards(),
            GlobalStep::default(),
            Generation::new(0),
        );
        coordinator.set_secret(secret);
        if let Some(last) = settings.last_step {
            coordinator.set_last_step(last);
        }
        Self {
            coordinator,
            links: Vec::new(),
            serving: false,
            saving: None,
            ending: None,
            pace: VecDeque::new(),
        }
    }

    pub(super) fn hello(
        &mut self,
        replica: ReplicaId,
        connection: u64,
        ticket: Option<Ticket>,
        now: Duration,
        actions: &mut Actions,
    ) -> Result<Ticket, Refusal> {
        if !self.serving {
            let reason = "the servers are not ready: they start or restore".to_owned();
            return Err(Refusal { sequence: 0, reason, rejoin: true });
        }
        self.coordinator.hello(replica, connection, ticket, now, actions)
    }

    fn note_pace(&mut self, now: Duration, made: &StepMade) {
        self.pace.push_back((now, made.global_step));
        while self.pace.front().is_some_and(|(then, _)| now.saturating_sub(*then) > PACE) {
            self.pace.pop_front();
        }
        if self.pace.len() > MOST_PACES {
            self.pace.pop_front();
        }
    }

    /// Tells the other servers that it is over.
    pub(super) fn tell_servers(&self, ended: &proto::Ended) {
        for link in &self.links {
            link.send(proto::order::Order::End(ended.clone()));
        }
    }

    /// Updates a second, lately.
    pub(super) fn updates_per_second(&self) -> f64 {
        let (Some((first, from)), Some((last, to))) = (self.pace.front(), self.pace.back()) else {
            return 0.0;
        };
        let seconds = last.saturating_sub(*first).as_secs_f64();
        if seconds > 0.0 { (to.get() - from.get()) as f64 / seconds } else { 0.0 }
    }
}

const PACE: Duration = Duration::from_secs(10);
const MOST_PACES: usize = 10_000;

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// Carries actions out: orders to all shards in their order, then what replicas are told.
    pub(super) fn act(self: &Arc<Self>, hub: &mut Hub<T>, mut actions: Actions) {
        let mut letters: BTreeMap<ReplicaId, Vec<ToReplica>> = BTreeMap::new();
        let mut published = false;
        while !actions.is_empty() {
            let mut more = Actions::default();
            for order in std::mem::take(&mut actions.orders) {
                for link in &hub.links {
                    link.send(order.clone().into());
                }
                match self.carry_out(&order) {
                    Ok(Some(applied)) => {
                        published |= applied.published;
                        hub.coordinator.applied(applied.variable, self.now(), &mut more);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let reason = StopReason::Failed(error.to_string());
                        hub.coordinator.stop(reason, self.now(), &mut more);
                    }
                }
            }
            for (replica, ticket, answer) in std::mem::take(&mut actions.answers) {
                let letter = wire::to_replica(Some(ticket), wire::answer(answer));
                letters.entry(replica).or_default().push(letter);
            }
            for made in std::mem::take(&mut actions.made) {
                self.step_made(hub, made, &mut letters);
            }
            if let Some((reason, failed)) = actions.ended.take() {
                self.end(hub, reason, failed);
            }
            actions = more;
        }
        if published {
            self.publish();
        }
        let posts = self.posts();
        for (replica, messages) in letters {
            posts.send(replica, messages);
            crash_point!("coordinator/between-tokens");
        }
        drop(posts);
        // After the last step, which a replica must know of to fetch its variables.
        self.finish_if_saved(hub);
    }

    fn step_made(
        self: &Arc<Self>,
        hub: &mut Hub<T>,
        made: StepMade,
        letters: &mut BTreeMap<ReplicaId, Vec<ToReplica>>,
    ) {
        crash_point!("coordinator/step-made");
        hub.note_pace(self.now(), &made);
        for replica in self.posts().replicas() {
            let letter = wire::to_replica(None, Message::Advanced(made.into()));
            letters.entry(replica).or_default().push(letter);
        }
        if let Some(checkpoints) = &self.settings.checkpoints
            && made.global_step.get().unsigned_abs().is_multiple_of(checkpoints.steps.max(1))
        {
            self.begin_save(hub);
        }
    }

    /// Training ended, which is told once a last checkpoint is on disk.
    fn end(self: &Arc<Self>, hub: &mut Hub<T>, reason: String, failed: bool) {
        tracing::info!(reason, failed, "training ended");
        let global_step = hub.coordinator.global_step().get();
        hub.ending = Some(proto::Ended { reason, failed, global_step });
        if self.settings.checkpoints.is_some() && !failed {
            self.begin_save(hub);
        }
    }

    /// Tells everybody that it is over, once nothing is left to be saved (P-1). Whoever is told
    /// does not come back, so nobody could make the last updates again.
    pub(super) fn finish_if_saved(&self, hub: &mut Hub<T>) {
        if hub.saving.is_none()
            && !self.is_over()
            && let Some(ended) = hub.ending.clone()
        {
            crash_point!("coordinator/all-saved");
            self.posts().send_to_all(&Message::Ended(ended.clone()));
            hub.tell_servers(&ended);
            self.over.send_replace(Some((ended.reason, ended.failed)));
        }
    }

    /// Whether the end was told.
    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Whether another server has not carried out all its orders.
    pub(super) fn has_open_orders(&self) -> bool {
        self.hub.as_ref().is_some_and(|hub| lock(hub).links.iter().any(|link| !link.is_idle()))
    }

    /// A shard on another server has done its part of an update.
    pub(super) fn link_applied(self: &Arc<Self>, variable: Option<usize>) {
        let Some(hub) = &self.hub else { return };
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        crash_point!("coordinator/before-step");
        hub.coordinator.applied(variable, self.now(), &mut actions);
        self.act(&mut hub, actions);
    }

    /// Ends training from outside.
    pub(crate) fn stop(self: &Arc<Self>, reason: StopReason) {
        let Some(hub) = &self.hub else { return };
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        hub.coordinator.stop(reason, self.now(), &mut actions);
        self.act(&mut hub, actions);
    }

    /// Has leases end in time (P-5).
    pub(super) async fn keep_time(self: Arc<Self>) {
        let Some(hub) = &self.hub else { return };
        loop {
            let next = {
                let (mut hub, mut actions) = (lock(hub), Actions::default());
                let next =
                    if hub.serving { hub.coordinator.tick(self.now(), &mut actions) } else { None };
                self.act(&mut hub, actions);
                next
            };
            let wait = next.map_or(TICK, |next| next.saturating_sub(self.now()).min(TICK));
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

/// At least so often the clock is looked at: leases begin at any time.
const TICK: Duration = Duration::from_millis(100);
