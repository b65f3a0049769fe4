//! Which variables have gradients of which kind, as the first push fixed it, and what later
//! ones must be like.
//!
//! It never changes, so gradients are checked against it outside of the core's lock: that of a
//! sparse one takes a pass over its indices.

use super::core::Rules;
use super::incoming::PushError;
use super::sums::{Kind, VariableSums};
use crate::engine::{Admission, Order, Settings};
use crate::layout::Layout;
use crate::{Gradient, Scalar};

pub(crate) struct Pattern<T: Scalar> {
    variables: Vec<Expected<T>>,
    /// Lanes that have a gradient.
    lanes: usize,
    /// A push may leave variables out.
    partial: bool,
    ordered: bool,
    rules: Rules,
}

/// What one variable's gradients are like.
struct Expected<T: Scalar> {
    kind: Kind,
    /// Who admits it; `None` without a gradient.
    lane: Option<usize>,
    /// Holding nothing, to ask what would fit.
    sums: Option<VariableSums<T>>,
}

impl<T: Scalar> Pattern<T> {
    pub(crate) fn new(layout: &Layout, kinds: &[Kind], rules: Rules, settings: &Settings) -> Self {
        let mut lanes = 0;
        // Per variable, as in the described system, each has a lane of its own.
        let partial = settings.admission == Admission::PerVariable;
        let ordered = settings.order == Order::Replica;
        let expected = |(index, &kind): (usize, &Kind)| {
            let lane = (kind != Kind::Missing).then_some(if partial { lanes } else { 0 });
            lanes += usize::from(lane.is_some());
            Expected {
                kind,
                lane,
                sums: VariableSums::new(kind, layout.shape(index), rules, ordered),
            }
        };
        let variables = kinds.iter().enumerate().map(expected).collect();
        Self { variables, lanes, partial, ordered, rules }
    }

    /// That of a first push, which must fit itself.
    pub(crate) fn of(
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
        rules: Rules,
        settings: &Settings,
    ) -> Result<Self, PushError> {
        let mut kinds = vec![Kind::Missing; layout.len()];
        for (index, gradient) in gradients {
            kinds[*index] = Kind::of(gradient);
        }
        let pattern = Self::new(layout, &kinds, rules, settings);
        pattern.check(layout, gradients)?;
        Ok(pattern)
    }

    /// Checks kinds and shapes.
    pub(crate) fn check(
        &self,
        layout: &Layout,
        gradients: &[(usize, Gradient<T>)],
    ) -> Result<(), PushError> {
        let mut given = gradients.iter().peekable();
        for (index, expected) in self.variables.iter().enumerate() {
            // Sorted by index, so that one walk through both finds what is left out.
            let own = given.next_if(|(given, _)| *given == index);
            let got = own.map_or(Kind::Missing, |(_, gradient)| Kind::of(gradient));
            if expected.kind != got && !(self.partial && got == Kind::Missing) {
                let (name, expected) = (layout.name(index).to_owned(), expected.kind);
                return Err(PushError::Kind { name, expected, got });
            }
        }
        for (index, gradient) in gradients {
            if let Some(sums) = &self.variables[*index].sums {
                sums.check(layout.shape(*index), gradient).map_err(|source| {
                    PushError::Gradient { name: layout.name(*index).to_owned(), source }
                })?;
            }
        }
        Ok(())
    }

    /// The lane that admits a variable's gradients, if it has any.
    pub(crate) fn lane(&self, variable: usize) -> Option<usize> {
        self.variables.get(variable)?.lane
    }

    /// How many variables have gradients.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Sums for each variable, holding nothing.
    pub(crate) fn sums(&self, layout: &Layout) -> Vec<Option<VariableSums<T>>> {
        let sums = |(index, expected): (usize, &Expected<T>)| {
            VariableSums::new(expected.kind, layout.shape(index), self.rules, self.ordered)
        };
        self.variables.iter().enumerate().map(sums).collect()
    }
}
