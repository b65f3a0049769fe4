//! What can be read of the engine at any time; nothing here changes it, except batch positions.

use std::time::Duration;

use accum_core::{GlobalStep, LocalStep};

use crate::batches::{Batches, Positions};
use crate::config::Config;
use crate::effect::StopReason;
use crate::lane::Lane;
use crate::ledger::TokenLedger;
use crate::machine::Engine;
use crate::members::Tally;
use crate::{Generation, ReplicaId};

impl Engine {
    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The running generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The number of updates done.
    // P-8
    #[must_use]
    pub fn global_step(&self) -> GlobalStep {
        self.global_step
    }

    /// How many contributions a lane holds.
    #[must_use]
    pub fn num_accumulated(&self, lane: usize) -> Option<u64> {
        self.lanes.get(lane).map(Lane::count)
    }

    /// Whether a gradient of this step would be dropped by every lane.
    //
    #[must_use]
    pub fn judges_stale(&self, local_step: LocalStep) -> bool {
        !self.lanes.iter().any(|lane| lane.is_fresh(local_step))
    }

    /// The lowest step that is not stale: the global step, or the next while an update is under
    /// way.
    #[must_use]
    pub fn open_step(&self) -> GlobalStep {
        self.lanes.iter().map(Lane::step).min().unwrap_or(self.global_step)
    }

    /// The number of lanes.
    #[must_use]
    pub fn num_lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Whether all gradients of the step are in, and its update is under way.
    #[must_use]
    pub fn is_updating(&self) -> bool {
        !self.lanes.iter().any(Lane::is_open)
    }

    /// Since when the chief calls hooks, if it does.
    #[must_use]
    pub fn hooks_since(&self) -> Option<Duration> {
        self.hooks.map(|hooks| hooks.since)
    }

    /// The tokens in the queue.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The step that a replica claims.
    //
    #[must_use]
    pub fn local_step(&self, replica: ReplicaId) -> Option<LocalStep> {
        self.members.get(replica).map(|member| member.local_step)
    }

    /// A replica's counters.
    // P-7
    #[must_use]
    pub fn tally(&self, replica: ReplicaId) -> Option<Tally> {
        self.members.get(replica).map(|member| member.tally)
    }

    /// The replicas that live.
    #[must_use]
    pub fn num_live(&self) -> usize {
        self.members.iter().filter(|(_, member)| member.live).count()
    }

    /// Whether a replica is a member now.
    #[must_use]
    pub fn is_live(&self, replica: ReplicaId) -> bool {
        self.members.get(replica).is_some_and(|member| member.live)
    }

    /// When a replica got the batch that it computes, if it computes one.
    #[must_use]
    pub fn working_since(&self, replica: ReplicaId) -> Option<Duration> {
        let member = self.members.get(replica)?;
        (member.live && member.working).then_some(member.began)
    }

    /// The replicas that wait for a token, first come first.
    pub fn waiting(&self) -> impl Iterator<Item = ReplicaId> {
        self.line.iter().copied()
    }

    /// The token ledger.
    #[must_use]
    pub fn ledger(&self) -> TokenLedger {
        self.ledger
    }

    /// Whether a replica's work can no longer count.
    // P-13
    #[must_use]
    pub fn is_superseded(&self, replica: ReplicaId) -> bool {
        let Some(member) = self.members.get(replica) else { return false };
        let shares = self.shares.as_ref().zip(member.claim);
        self.judges_stale(member.local_step)
            || shares.is_some_and(|(shares, claim)| shares.is_over(claim))
    }

    /// Whether no replica has ever joined and nothing has happened.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.stopped.is_none() && self.members.iter().all(|(_, member)| !member.begun)
    }

    /// Why training ended, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        self.stopped.as_ref()
    }

    /// The run's position in its data in a saved state, as of its step: the global step, or the
    /// next while an update is under way. Batches in no update by then count as not given. With
    /// [`Engine::set_positions`] a restored run goes on from there.
    #[must_use]
    pub fn positions(&self, saved: GlobalStep) -> Positions {
        let step = saved.get();
        if let Some(shares) = &self.shares {
            return Positions::of_shares(self.first_of_step(step), shares.skipped());
        }
        self.batches
            .positions(self.members.iter().flat_map(|(_, member)| member.open_batches(step)))
    }

    /// Goes on from a run's position in its data, in any number of replicas and any order; returns
    /// whether it neither repeats nor misses a batch. It may do so when a run in arrival order goes
    /// on in replica order: there the numbers of a step are A times the step, and those that
    /// follow. With another A in replica order, it begins after the last batch of the share that is
    /// farthest, and misses what the others are behind by, if batches were left out.
    // P-25
    pub fn set_positions(&mut self, positions: &Positions) -> bool {
        let Some(shares) = &mut self.shares else {
            self.batches = Batches::at(positions, self.config.total_num_replicas());
            return true;
        };
        let Some(first) = positions.first_of_step else {
            self.origin = (self.global_step.min(GlobalStep::default()), 0);
            shares.set_skipped(&[]);
            return positions.given.iter().all(|&given| given == 0);
        };
        let same = positions.skipped.len() == self.config.replicas_to_aggregate();
        shares.set_skipped(if same { &positions.skipped } else { &[] });
        let first = if same { first } else { positions.after_all(first) };
        self.origin = (self.global_step, first);
        same || positions.skipped.iter().all(|&skipped| skipped == 0)
    }
}
