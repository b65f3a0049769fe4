//! The lanes, and the step that gradients must have in each: one more at each close.
//!
//! A book that several invariants keep, each its own.

use std::collections::BTreeMap;

use engine::Effect;

use super::Fact;
use crate::mix::Mix;

#[derive(Debug)]
pub(super) struct Lanes {
    step: i64,
    required: BTreeMap<usize, i64>,
}

impl Lanes {
    pub(super) fn new(mix: &Mix) -> Self {
        let together = mix.config.settings().admission == engine::Admission::Together;
        Self { step: 0, required: together.then_some((0, 0)).into_iter().collect() }
    }

    pub(super) fn observe(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Serves { global_step, .. } => {
                self.step = global_step.get();
                self.required.values_mut().for_each(|required| *required = self.step);
            }
            // A lane that comes while all others are updated has a part in the next step.
            Fact::Lanes { variables } => {
                let at = self.required.values().min().map_or(self.step, |least| *least);
                let lane = |lane: &usize| (*lane, self.required.get(lane).copied().unwrap_or(at));
                self.required = variables.iter().map(lane).collect();
            }
            Fact::Effect(Effect::Close { lane, .. }) => {
                *self.required.entry(*lane).or_default() += 1;
            }
            Fact::Effect(Effect::Advanced { global_step }) => self.step = global_step.get(),
            _ => {}
        }
    }

    /// Whether a gradient of this step is fresh for a lane.
    pub(super) fn is_fresh(&self, lane: usize, local_step: i64) -> bool {
        self.required.get(&lane).is_some_and(|&required| local_step >= required)
    }

    /// Whether no lane takes a gradient of this step any longer.
    pub(super) fn is_over(&self, local_step: i64) -> bool {
        let over = |&required: &i64| local_step < required;
        if self.required.is_empty() { over(&self.step) } else { self.required.values().all(over) }
    }
}
