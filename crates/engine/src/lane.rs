//! A lane: variables whose gradients are admitted together, and how far their round has come.
//!
//! All-or-nothing admission has one lane; TensorFlow has one for each variable, which takes and
//! updates by itself, and waits for the others only before the step moves.

use std::num::NonZeroU64;

use accum_core::{Applied, Gate, GlobalStep, LocalStep, StepOverflow};

/// One gate and the state of its round.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    gate: Gate,
    round: LaneState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// Contributions are being collected.
    Open,
    /// A were taken; the update is under way.
    Taken,
    /// The variables are updated; other lanes may not be.
    Applied,
}

impl Lane {
    pub(crate) fn at(step: GlobalStep) -> Self {
        let mut gate = Gate::new();
        gate.set_step(step);
        Self { gate, round: LaneState::Open }
    }

    /// One that has no part in the step under way; gradients must have the step after.
    pub(crate) fn applied_at(step: GlobalStep) -> Self {
        Self { round: LaneState::Applied, ..Self::at(step) }
    }

    /// Counts a fresh gradient, and drops a stale one.
    //
    pub(crate) fn admit(&mut self, local_step: LocalStep) -> Applied {
        self.gate.admit(local_step)
    }

    /// Whether a gradient of this step would be admitted.
    //
    pub(crate) fn is_fresh(&self, local_step: LocalStep) -> bool {
        self.gate.judge(local_step).is_fresh()
    }

    /// The lowest step that a gradient may claim.
    pub(crate) fn step(&self) -> GlobalStep {
        self.gate.step()
    }

    pub(crate) fn count(&self) -> u64 {
        self.gate.count()
    }

    /// Closes the round when enough is held and it is still open; the number held.
    //
    pub(crate) fn try_close(&mut self, needed: NonZeroU64) -> Result<Option<u64>, StepOverflow> {
        if self.round != LaneState::Open {
            return Ok(None);
        }
        let Some(closed) = self.gate.try_close(needed)? else { return Ok(None) };
        self.round = LaneState::Taken;
        Ok(Some(closed.count))
    }

    /// Whether an update of this lane was under way, which is now done.
    pub(crate) fn finish(&mut self) -> bool {
        let taken = self.round == LaneState::Taken;
        if taken {
            self.round = LaneState::Applied;
        }
        taken
    }

    pub(crate) fn is_applied(&self) -> bool {
        self.round == LaneState::Applied
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.round == LaneState::Taken
    }

    /// Whether it is collecting contributions.
    pub(crate) fn is_open(&self) -> bool {
        self.round == LaneState::Open
    }

    /// Whether it was never used, or all its work is over.
    pub(crate) fn is_untouched(&self) -> bool {
        self.round == LaneState::Open && self.gate.count() == 0
    }

    pub(crate) fn reopen(&mut self) {
        self.round = LaneState::Open;
    }
}
