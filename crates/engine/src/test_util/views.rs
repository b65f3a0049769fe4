//! What can be read of an engine at any time, as the model has it (P-7).
//!
//! Invariant: nothing here changes the model.

use std::time::Duration;

use accum_core::LocalStep;

use super::EngineModel;
use crate::{Engine, ReplicaId, StepTimeout, StopReason};

impl EngineModel {
    pub(super) fn check_views(&self, engine: &Engine) {
        let lanes = self.lanes.len();
        assert_eq!(engine.num_lanes(), lanes, "the number of lanes");
        for (at, lane) in self.lanes.iter().enumerate() {
            assert_eq!(engine.num_accumulated(at), Some(lane.held.len() as u64), "lane {at}");
        }
        assert_eq!(engine.num_accumulated(lanes), None, "a lane that is not there");
        assert_eq!(engine.is_updating(), self.is_updating(), "whether an update is under way");
        let open = self.lanes.iter().map(|lane| lane.step).min();
        assert_eq!(Some(engine.open_step().get()), open, "the lowest step that is not stale");
        for step in self.step - 1..=self.step + 1 {
            assert_eq!(engine.judges_stale(LocalStep::new(step)), self.is_over(step), "{step}");
        }
        match engine.stopped() {
            None => assert!(!self.stopped, "training ended"),
            Some(StopReason::Requested(reason)) => assert_eq!(reason, "enough"),
            Some(StopReason::Failed(_)) => assert!(self.ten_in_row(), "why training ended"),
        }
        let since = self.hooks.map(|_| self.hooks_since);
        assert_eq!(engine.hooks_since(), since, "since when hooks are called");
        assert_eq!(engine.step_timeout(), self.step_timeout(), "the limit for one batch");
        let begun = self.members.iter().any(|member| member.begun);
        assert_eq!(engine.is_fresh(), !self.stopped && !begun, "whether nothing has happened");
        self.check_members(engine);
    }

    fn check_members(&self, engine: &Engine) {
        let live = self.members.iter().filter(|member| member.live).count();
        assert_eq!(engine.num_live(), live, "who lives");
        for replica in 0..=self.members.len() as u64 {
            let (id, member) = (ReplicaId::new(replica), self.member(replica));
            let step = engine.local_step(id).map(LocalStep::get);
            assert_eq!(step, member.map(|it| it.local_step), "the step that {id} claims");
            assert_eq!(engine.tally(id), member.map(|it| it.tally), "the counters of {id}");
            let superseded = self.is_superseded(replica);
            assert_eq!(engine.is_superseded(id), superseded, "whether {id} works in vain");
        }
    }

    /// P-13: the step is over, another replica was first with the share, or its batch is left out.
    pub(super) fn is_superseded(&self, replica: u64) -> bool {
        self.member(replica).is_some_and(|member| {
            let in_vain = member.share.is_some_and(|share| self.is_in_vain(member, share));
            self.is_over(member.local_step) || in_vain
        })
    }

    /// P-5: whatever ends first of all that time ends.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let settings = self.config.settings();
        let absent = self.members.iter().any(|member| !member.begun);
        let absence = settings.lease.zip(self.started.filter(|_| absent));
        let at_hooks = |at: usize| self.hooks == Some(Some(at as u64));
        let leases = self.members.iter().enumerate().filter(|(at, _)| !at_hooks(*at));
        let timeout = self.step_timeout();
        let is_given = matches!(settings.step_timeout, StepTimeout::After(_));
        let given = timeout.filter(|_| is_given);
        let leases = leases.flat_map(|(_, member)| {
            let out = member.held.into_iter();
            out.flat_map(move |(_, until)| {
                until.into_iter().chain(timeout.map(|limit| member.began + limit))
            })
        });
        let chief = self.hooks.is_some() || self.is_updating();
        let began = if chief { self.now } else { self.step_began };
        leases
            .chain(absence.map(|(lease, started)| started + lease))
            .chain(self.lease_from_now())
            .chain(given.map(|limit| self.now + limit))
            .chain(settings.step_deadline.map(|deadline| began + deadline))
            .min()
    }
}
