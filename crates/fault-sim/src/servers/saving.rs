//! Checkpoints: every server's state at one step, gathered, and on disk a while later.

use cluster::driver::shard::{ShardState, gather};
use engine::Positions;
use sync_replicas::checkpoint::TrainingState;

use super::Servers;
use crate::happenings::Happening;
use crate::invariants::Fact;
use crate::stage::{Event, Order, Stage};

/// A checkpoint that is being gathered or written.
#[derive(Debug)]
pub(crate) struct Gathering {
    number: u64,
    positions: Positions,
    /// How many updates had been ordered.
    updates: u64,
    /// By server; empty once it is being written.
    states: Vec<Option<ShardState<f64>>>,
    /// It was requested once more, after an update.
    again: bool,
}

impl Gathering {
    pub(crate) fn is_written(&self) -> bool {
        self.states.is_empty()
    }
}

impl Servers {
    /// Requests a checkpoint, time and again.
    pub(crate) fn request_save(&mut self, begun: u64, stage: &mut Stage) {
        let serving = self.leader.as_ref().is_some_and(|leader| leader.serving);
        if serving && begun == self.begun {
            self.save_if_new(stage);
            stage.events.after(stage.mix.checkpoint, Event::Save(begun));
        }
    }

    pub(super) fn save_if_new(&mut self, stage: &mut Stage) {
        let new = |leader: &super::Leader| leader.on_disk != Some(leader.updates);
        if self.leader.as_ref().is_some_and(|it| it.gathering.is_some() || new(it)) {
            self.save(stage);
        }
    }

    /// Has every server send its state as of now, without stopping the steps.
    pub(super) fn save(&mut self, stage: &mut Stage) {
        let (Some(leader), Some(own)) = (&mut self.leader, &self.all[0]) else { return };
        let updates = leader.updates;
        if let Some(gathering) = &mut leader.gathering {
            gathering.again |= gathering.updates != updates;
            return;
        }
        self.started += 1;
        let (number, mut states) = (self.started, vec![None; self.all.len()]);
        states[0] = Some(own.shard.state());
        let positions = leader.coordinator.positions();
        leader.gathering = Some(Gathering { number, positions, updates, states, again: false });
        for server in 1..self.all.len() {
            self.order(server, Order::Save(number), stage);
        }
        self.write_if_gathered(stage);
    }

    /// A server has sent its state.
    pub(super) fn state_came(
        &mut self,
        server: usize,
        number: u64,
        state: ShardState<f64>,
        stage: &mut Stage,
    ) {
        let gathering = self.leader.as_mut().and_then(|leader| leader.gathering.as_mut());
        if let Some(it) = gathering.filter(|it| it.number == number && !it.is_written()) {
            it.states[server] = Some(state);
            self.write_if_gathered(stage);
        }
    }

    fn write_if_gathered(&mut self, stage: &mut Stage) {
        let Some(leader) = &mut self.leader else { return };
        let Some(it) = &mut leader.gathering else { return };
        if it.states.iter().any(Option::is_none) {
            return;
        }
        let states: Vec<_> = std::mem::take(&mut it.states).into_iter().flatten().collect();
        match gather(&stage.mix.placement, &states, it.positions.clone()) {
            Ok(state) => {
                let writing = stage.dice.millis(1, 60);
                let (leader, state) = (leader.life, Box::new(state));
                stage.events.after(writing, Event::Durable { leader, state });
            }
            Err(error) => stage.never("a checkpoint can be gathered", error),
        }
    }

    /// A checkpoint is on disk.
    pub(crate) fn durable(&mut self, life: u64, state: TrainingState<f64>, stage: &mut Stage) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.life == life) else {
            return;
        };
        let Some(gathering) = leader.gathering.take() else { return };
        stage.happened(Happening::Saved);
        let arrays = state.variables.arrays().iter();
        let variables: Vec<f64> = arrays.flat_map(|array| array.iter().copied()).collect();
        stage.note(&Fact::Saved { global_step: state.global_step, variables: &variables });
        self.disk.saved = Some(state);
        leader.on_disk = Some(gathering.updates);
        if leader.stale {
            return self.begin_generation(stage);
        }
        if !leader.serving && leader.beginning.is_none() {
            self.serve(stage);
        } else if gathering.again {
            self.save(stage);
        }
        self.finish_if_saved(stage);
    }
}
