//! A new life of the shared state: at the start, and whenever a server has lost its state.

use std::collections::BTreeSet;
use std::time::Duration;

use accum_core::GlobalStep;
use cluster::driver::shard::{ShardState, scatter};
use engine::{Generation, Positions};

use super::{Disk, Servers};
use crate::happenings::Happening;
use crate::invariants::Fact;
use crate::stage::{Event, Order, Stage};

/// A generation that begins.
#[derive(Debug)]
pub(crate) struct Beginning {
    generation: Generation,
    /// The one before it, of all that are known.
    after: Generation,
    global_step: GlobalStep,
    positions: Positions,
    /// The leader's own part of a saved state, if there is one.
    own: Option<ShardState<f64>>,
    restored: bool,
    /// The servers that are not in it yet.
    left: BTreeSet<usize>,
}

impl Disk {
    /// Claims the next generation's number; returns the one before it (P-9).
    fn claim(&mut self, after: Generation) -> Generation {
        let after = after.max(self.claimed);
        self.claimed = after.next();
        after
    }
}

impl Servers {
    /// Begins a generation from the newest checkpoint, as soon as all servers live and none is
    /// being written.
    pub(super) fn begin_generation(&mut self, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        (leader.serving, leader.stale) = (false, true);
        stage.note(&Fact::GivenUp);
        let missing = self.all.iter().any(Option::is_none);
        if missing || leader.gathering.as_ref().is_some_and(|it| it.is_written()) {
            return;
        }
        (leader.stale, leader.gathering, leader.updating) = (false, None, 0);
        self.begun += 1;
        leader.links.iter_mut().for_each(|(linked, _, _)| *linked = true);
        if let Some(own) = &mut self.all[0] {
            own.close_all(stage);
        }
        let saved = self.disk.saved.clone();
        let state = saved.as_ref();
        if state.is_some() {
            stage.happened(Happening::Restored);
        }
        let global_step = state.map(|state| state.global_step).unwrap_or_default();
        let positions = state.map(|state| state.positions.clone()).unwrap_or_default();
        let present = leader.coordinator.generation();
        let saved_in = state.map(|state| state.generation).unwrap_or_default();
        let after = self.disk.claim(saved_in.max(present));
        let states = state.map(|state| scatter(&stage.mix.placement, state)).transpose();
        let states = match states {
            Ok(states) => states,
            Err(error) => return stage.never("a checkpoint can be restored", error),
        };
        let mut states = states.into_iter().flatten();
        let (generation, secret) = (after.next(), leader.life);
        let (own, left) = (states.next(), (1..self.all.len()).collect());
        let restored = saved.is_some();
        leader.beginning =
            Some(Beginning { generation, after, global_step, positions, own, restored, left });
        for server in 1..self.all.len() {
            let state = states.next().map(Box::new);
            self.order(server, Order::Begin { state, generation, global_step, secret }, stage);
        }
        self.all_begun(stage);
    }

    /// Another server is in a generation.
    pub(super) fn server_begun(
        &mut self,
        server: usize,
        generation: Generation,
        stage: &mut Stage,
    ) {
        let beginning = self.leader.as_mut().and_then(|leader| leader.beginning.as_mut());
        if let Some(it) = beginning.filter(|it| it.generation == generation) {
            it.left.remove(&server);
            self.all_begun(stage);
        }
    }

    /// Once all other servers are in the generation, the leader's own is, and the coordinator.
    fn all_begun(&mut self, stage: &mut Stage) {
        let (Some(leader), Some(own)) = (&mut self.leader, &mut self.all[0]) else { return };
        let Some(it) = leader.beginning.take_if(|it| it.left.is_empty()) else { return };
        own.begin_generation(it.own.as_ref(), it.generation, it.global_step, stage);
        leader.coordinator.at(stage.now()).restore(it.global_step, it.after, &it.positions);
        leader.on_disk = it.restored.then_some(leader.updates);
        let (generation, global_step) = (leader.coordinator.generation(), it.global_step);
        let variables = stage.shown.clone();
        stage.note(&Fact::Serves { generation, global_step, variables: &variables });
        if it.restored {
            self.serve(stage);
        } else {
            // Before anybody is served: from the first step on there is one to go back to.
            self.save(stage);
        }
    }

    /// Replicas may come.
    pub(super) fn serve(&mut self, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        leader.serving = true;
        let begun = self.begun;
        stage.events.after(Duration::ZERO, Event::Tick(begun));
        let late = stage.dice.chance(0.3);
        let wait = if late { stage.dice.millis(0, 500) } else { Duration::ZERO };
        stage.events.after(wait, Event::StartChief(begun));
        stage.events.after(stage.mix.checkpoint, Event::Save(begun));
    }

    /// The chief comes, perhaps long after the replicas: the initial tokens go out.
    pub(crate) fn start_chief(&mut self, begun: u64, stage: &mut Stage) {
        let serving = self.leader.as_mut().filter(|leader| leader.serving);
        let Some(leader) = serving.filter(|_| begun == self.begun) else { return };
        if let Err(error) = leader.coordinator.at(stage.now()).start() {
            stage.never("the mix fits together", error);
        }
        self.act(stage);
    }
}
