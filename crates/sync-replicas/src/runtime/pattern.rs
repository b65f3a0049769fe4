//! Which variables have gradients of which kind, as the first pushes fixed it, and what
//! later ones must be like.
//!
//! Where a replica's gradients are admitted together, the first push fixes all variables; where
//! each variable is admitted for itself, it fixes those that it names, and one that was left out is
//! fixed by the first push that has it. What is fixed never changes, so gradients are checked
//! against it outside of the core's lock: that of a sparse one takes a pass over its indices.

use std::sync::OnceLock;

use super::core::Rules;
use super::incoming::PushError;
use super::sums::{Kind, VariableSums};
use crate::layout::Layout;
use crate::{Gradient, Scalar};
use engine::{Admission, Order, Settings};

pub(crate) struct Pattern<T: Scalar> {
    variables: Vec<OnceLock<Expected<T>>>,
    /// A push may leave variables out.
    partial: bool,
    ordered: bool,
    rules: Rules,
}

/// What one variable's gradients are like.
pub(crate) struct Expected<T: Scalar> {
    kind: Kind,
    /// Who admits it; `None` without a gradient.
    lane: Option<usize>,
    /// Holding nothing, to ask what would fit.
    sums: Option<VariableSums<T>>,
}

impl<T: Scalar> Pattern<T> {
    /// Nothing is fixed yet.
    pub(crate) fn new(variables: usize, rules: Rules, settings: &Settings) -> Self {
        Self {
            variables: (0..variables).map(|_| OnceLock::new()).collect(),
            partial: settings.admission == Admission::PerVariable,
            ordered: settings.order == Order::Replica,
            rules,
        }
    }

    /// Checks kinds and shapes against what is fixed; whether all of it is.
    pub(crate) fn check(
        &self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<bool, PushError> {
        let mut all_fixed = true;
        for (index, got) in self.kinds(gradients) {
            match self.variables[index].get() {
                Some(expected) if expected.kind != got && !self.may_miss(got) => {
                    let (name, expected) = (layout.name(index).to_owned(), expected.kind);
                    return Err(PushError::Kind { name, expected, got });
                }
                Some(_) => {}
                None => all_fixed &= self.may_miss(got),
            }
        }
        for (index, gradient) in gradients {
            if let Some(expected) = self.variables[*index].get() {
                expected.check(layout, *index, gradient)?;
            }
        }
        Ok(all_fixed)
    }

    /// What a push fixes: those of its variables that no push had before, which must fit
    /// themselves. A new lane begins at `lane`.
    pub(crate) fn first(
        &self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
        lane: usize,
    ) -> Result<Vec<(usize, Expected<T>)>, PushError> {
        let new = |&(index, got): &(usize, Kind)| {
            self.variables[index].get().is_none() && !self.may_miss(got)
        };
        let fixed = self.expect(layout, self.kinds(gradients).filter(new), lane);
        let mut given = gradients.iter();
        for (index, expected) in &fixed {
            if let Some((_, gradient)) = given.find(|(given, _)| given == index) {
                expected.check(layout, *index, gradient)?;
            }
        }
        Ok(fixed)
    }

    /// What kinds that were declared fix: all variables.
    pub(crate) fn declared(&self, layout: &Layout, kinds: &[Kind]) -> Vec<(usize, Expected<T>)> {
        self.expect(layout, kinds.iter().copied().enumerate(), 0)
    }

    /// From now on it is so; sums for what comes. Under the core's lock, and once for a variable.
    pub(crate) fn fix(
        &self,
        layout: &Layout,
        index: usize,
        expected: Expected<T>,
    ) -> Option<VariableSums<T>> {
        let sums = self.sums(layout, index, expected.kind);
        // Under the lock and after a look, so that none is there.
        drop(self.variables[index].set(expected));
        sums
    }

    /// The lane that admits a variable's gradients, if it has any.
    pub(crate) fn lane(&self, variable: usize) -> Option<usize> {
        self.variables.get(variable)?.get()?.lane
    }

    /// With each variable's admission for itself, as in the described system, each has a lane.
    fn expect(
        &self,
        layout: &Layout,
        kinds: impl Iterator<Item = (usize, Kind)>,
        mut lane: usize,
    ) -> Vec<(usize, Expected<T>)> {
        let expected = kinds.map(|(index, kind)| {
            let of = (kind != Kind::Missing).then_some(if self.partial { lane } else { 0 });
            lane += usize::from(of.is_some());
            (index, Expected { kind, lane: of, sums: self.sums(layout, index, kind) })
        });
        expected.collect()
    }

    fn sums(&self, layout: &Layout, index: usize, kind: Kind) -> Option<VariableSums<T>> {
        VariableSums::new(kind, layout.shape(index), self.rules, self.ordered)
    }

    /// Whether a variable may be without a gradient of the kind that it has otherwise.
    fn may_miss(&self, got: Kind) -> bool {
        self.partial && got == Kind::Missing
    }

    /// Every variable with the kind of its gradient in a push, which is sorted by variable: one
    /// walk through both finds what is left out.
    fn kinds<'g>(
        &self,
        gradients: &'g [(usize, Gradient<T>)],
    ) -> impl Iterator<Item = (usize, Kind)> + use<'g, T> {
        let mut given = gradients.iter().peekable();
        (0..self.variables.len()).map(move |index| {
            let own = given.next_if(|(given, _)| *given == index);
            (index, own.map_or(Kind::Missing, |(_, gradient)| Kind::of(gradient)))
        })
    }
}

impl<T: Scalar> Expected<T> {
    pub(crate) fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    fn check(
        &self,
        layout: &Layout,
        index: usize,
        gradient: &Gradient<T>,
    ) -> Result<(), PushError> {
        let Some(sums) = &self.sums else { return Ok(()) };
        let fits = sums.check(layout.shape(index), gradient);
        fits.map_err(|source| PushError::Gradient { name: layout.name(index).to_owned(), source })
    }
}
