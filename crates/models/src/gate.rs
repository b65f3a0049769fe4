//! The gate beside a step and a count: every answer of every call, R-1 to R-6.
//!
//! Invariant: the model holds two numbers and none of the gate's code.

use std::num::NonZeroU64;

use accum_core::{Applied, Closed, Freshness, Gate, GlobalStep, LocalStep, StepOverflow};
use proptest::prelude::*;

use crate::run::Runner;

/// One call; a local step is measured from the gate's.
#[derive(Clone, Debug)]
enum Call {
    Admit(i64),
    Close(NonZeroU64),
    /// Undo the last close that was not undone.
    Undo,
    Set(i64),
}

fn calls(longest: usize) -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        8 => prop_oneof![3 => Just(0_i64), 1 => -3_i64..4].prop_map(Call::Admit),
        4 => (1_u64..5).prop_map(|n| Call::Close(NonZeroU64::MIN.saturating_add(n - 1))),
        2 => Just(Call::Undo),
        1 => prop_oneof![6 => -3_i64..9, 1 => Just(i64::MAX)].prop_map(Call::Set),
    ];
    prop::collection::vec(call, 1..=longest)
}

#[derive(Default)]
struct Model {
    step: i64,
    count: u64,
}

impl Model {
    fn admit(&mut self, gate: &mut Gate, age: i64) {
        let local = LocalStep::new(self.step.saturating_add(age));
        let (judged, admitted) = (gate.judge(local), gate.admit(local));
        if local.get() < self.step {
            let global_step = GlobalStep::new(self.step);
            assert_eq!(judged, Freshness::Stale { local_step: local, global_step });
            assert_eq!(admitted, Applied::Stale { local_step: local, global_step });
        } else {
            self.count += 1;
            assert_eq!(judged, Freshness::Fresh);
            assert_eq!(admitted, Applied::Accepted { count: self.count });
        }
    }

    /// what is closed is what is held, however few were asked for.
    fn close(&mut self, required: NonZeroU64) -> Result<Option<Closed>, StepOverflow> {
        let step = GlobalStep::new(self.step);
        if self.count < required.get() {
            return Ok(None);
        }
        self.step = self.step.checked_add(1).ok_or(StepOverflow { step })?;
        Ok(Some(Closed { step, count: std::mem::take(&mut self.count) }))
    }

    /// Whether the step went back.
    fn undo(&mut self, closed: Closed) -> bool {
        self.count += closed.count;
        let untouched = closed.step.get().checked_add(1) == Some(self.step);
        if untouched {
            self.step = closed.step.get();
        }
        untouched
    }
}

pub(crate) fn answers_are_the_models(runner: &mut Runner) -> Result<(), String> {
    let calls = calls(runner.longest());
    runner.histories(&calls, Vec::len, |calls| {
        let (mut gate, mut model, mut last) = (Gate::new(), Model::default(), None);
        for call in calls {
            match call {
                Call::Admit(age) => model.admit(&mut gate, age),
                Call::Close(required) => {
                    let closed = gate.try_close(required);
                    assert_eq!(closed, model.close(required), "what is closed");
                    last = closed.ok().flatten().or(last);
                }
                Call::Undo => {
                    let Some(closed) = last.take() else { continue };
                    assert_eq!(gate.undo_close(closed), model.undo(closed), "the way back");
                }
                Call::Set(step) => {
                    let old = std::mem::replace(&mut model.step, step);
                    assert_eq!(gate.set_step(step).get(), old, "the step before");
                }
            }
            assert_eq!((gate.step().get(), gate.count()), (model.step, model.count));
        }
    })
}
