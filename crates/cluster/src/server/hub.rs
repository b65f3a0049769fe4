//! The coordinator among the shards: what it decides is carried out here and told to everybody.
//!
//! One lock holds the coordinator while its orders go out, so every shard gets them in one order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::engine::StopReason;
use sync_replicas::{Cursor, Generation, GlobalStep, ReplicaId, Scalar, UpdateMade};

use super::failure::Failure;
use super::link::LinkHandle;
use super::node::{Node, NodeSettings, lock};
use super::saving::{Retry, Saving};
use crate::coordinator::{Actions, Coordinator, Order, Refusal, StepMade, Ticket};
use crate::proto::to_replica::Message;
use crate::proto::{self, ToReplica};
use crate::wire::{self, Recorded};

/// The coordinator and its links to the other servers.
pub(crate) struct Hub<T: Scalar> {
    pub(crate) coordinator: Coordinator,
    /// To the servers from number 1 on.
    pub(super) links: Vec<LinkHandle>,
    /// Whether all shards are in the coordinator's generation.
    pub(super) serving: bool,
    /// When that came about.
    pub(super) began: Option<Duration>,
    /// When it first came about and at which step, and when training ended.
    pub(super) trained: (Option<(Duration, GlobalStep)>, Option<Duration>),
    /// What was wished for while they were not: done as soon as they are.
    pub(super) wishes: Wishes,
    /// How many updates were ordered.
    pub(super) updates: u64,
    /// After how many of them the newest checkpoint was taken, if it is of this generation.
    pub(super) saved: Option<u64>,
    /// The run that checkpoints belong to (P-24).
    pub(super) run: RunId,
    pub(super) saving: Option<Saving<T>>,
    /// The last save has failed, and is tried again.
    pub(super) retry: Option<Retry>,
    /// Why the newest save failed, if it did.
    pub(super) save_error: Option<String>,
    /// Training ended; this is told once everything is saved.
    pub(super) ending: Option<proto::Ended>,
    /// The replicas that have heard of it.
    pub(super) heard: BTreeSet<ReplicaId>,
    /// Steps that were made lately, and when: for the rate.
    pub(super) pace: VecDeque<(Duration, GlobalStep)>,
}

/// What somebody wishes for who cannot know what the servers are about.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) stop: Option<StopReason>,
    pub(super) save: bool,
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
        coordinator.set_nan_guard(settings.nan_guard);
        Self {
            coordinator,
            links: Vec::new(),
            serving: false,
            began: None,
            trained: (None, None),
            wishes: Wishes::default(),
            run: settings.run,
            updates: 0,
            saved: None,
            saving: None,
            retry: None,
            save_error: None,
            ending: None,
            heard: BTreeSet::new(),
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
                hub.updates += u64::from(matches!(order, Order::Apply { .. }));
                for link in &hub.links {
                    link.send(order.clone().into());
                }
                match self.carry_out(&order) {
                    Ok(Some(applied)) => {
                        published |= applied.published;
                        hub.coordinator.applied(applied.variable, self.now(), &mut more);
                    }
                    Ok(None) => {}
                    Err(error) => self.fail(hub, error.into(), &mut more),
                }
            }
            for (replica, ticket, answer) in std::mem::take(&mut actions.answers) {
                let letter = wire::to_replica(Some(ticket), wire::answer(answer));
                letters.entry(replica).or_default().push(letter);
            }
            if let Some(record) = &self.settings.record {
                record.add_spans(std::mem::take(&mut actions.spans));
            }
            actions.spans.clear();
            for made in std::mem::take(&mut actions.made) {
                self.step_made(hub, made, &mut letters);
            }
            match actions.ended.take() {
                None => {}
                Some((reason, false)) if !hub.serving => {
                    hub.wishes.stop.get_or_insert(StopReason::Requested(reason));
                }
                Some((reason, failed)) => self.end(hub, reason, failed),
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

    /// The training as the coordinator saw it; `None` where there is none.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        let (hub, now) = (lock(self.hub.as_ref()?), self.now());
        let (began, first_step) = hub.trained.0.unwrap_or((now, hub.coordinator.global_step()));
        let ended = hub.trained.1.unwrap_or(now);
        let record = self.settings.record.as_ref();
        Some(Recorded {
            totals: hub.coordinator.final_totals(),
            replicas: hub.coordinator.replica_reports(),
            news: record.map(|it| it.since(&mut Cursor::default())).unwrap_or_default(),
            elapsed: ended.saturating_sub(began),
            first_step,
        })
    }

    fn step_made(
        self: &Arc<Self>,
        hub: &mut Hub<T>,
        made: StepMade,
        letters: &mut BTreeMap<ReplicaId, Vec<ToReplica>>,
    ) {
        crash_point!("coordinator/step-made");
        hub.note_pace(self.now(), &made);
        if let Some(record) = &self.settings.record {
            let StepMade { global_step, loss, examples, .. } = made;
            record.add_update(UpdateMade {
                step: global_step.get(),
                loss,
                examples,
                at: self.now(),
            });
        }
        for replica in self.posts().replicas() {
            let letter = wire::to_replica(None, Message::Advanced(made.into()));
            letters.entry(replica).or_default().push(letter);
        }
        if let Some(checkpoints) = &self.settings.checkpoints
            && made.global_step.get().unsigned_abs().is_multiple_of(checkpoints.steps.max(1))
        {
            self.save_if_new(hub);
        }
    }

    /// A shard on another server has done its part of an update.
    pub(super) fn link_applied(self: &Arc<Self>, variable: Option<usize>) {
        let Some(hub) = &self.hub else { return };
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        if !hub.serving {
            // Of a life that is given up.
            return;
        }
        crash_point!("coordinator/before-step");
        hub.coordinator.applied(variable, self.now(), &mut actions);
        self.act(&mut hub, actions);
    }

    /// A shard on another server could not do as it was told.
    pub(super) fn order_failed(self: &Arc<Self>, (server, order): (usize, u64), failure: Failure) {
        let Some(hub) = &self.hub else { return };
        let (mut hub, mut actions) = (lock(hub), Actions::default());
        hub.lose_part(server, order);
        // Otherwise it is one of a life that is given up.
        if hub.serving {
            self.fail(&mut hub, failure, &mut actions);
            self.act(&mut hub, actions);
        }
    }

    fn fail(&self, hub: &mut Hub<T>, failure: Failure, actions: &mut Actions) {
        let now = self.now();
        match failure {
            Failure::NotFinite(reason) => hub.coordinator.not_finite(reason, now, actions),
            Failure::Other(reason) => {
                hub.coordinator.stop(StopReason::Failed(reason), now, actions);
            }
        }
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
