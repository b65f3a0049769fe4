//! All formulas of this crate as one type: what is chosen by name, or travels as text.

use super::{Adagrad, Adam, AdamW, Ftrl, Groups, LazyAdam, Momentum, RmsProp, Sgd};
use crate::{
    HyperParameterError, Optimizer, Real, ScalarSpec, Schedule, SlotSpec, SparseReach, Step, Tile,
};

/// Any formula of this crate, with its numbers.
///
/// Through serde it is a formula's name with its numbers: one process writes it and another carries
/// it out, to the bit.
///
/// # Examples
/// ```
/// use optim::{Adam, BuiltIn, Optimizer};
///
/// let chosen = BuiltIn::from(Adam::new(0.1));
/// assert_eq!(Optimizer::<f32>::name(&chosen), "adam");
/// assert_eq!(Optimizer::<f32>::built_in(&Adam::new(0.1)), Some(chosen));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the formula of its name")]
pub enum BuiltIn {
    Sgd(Sgd),
    Momentum(Momentum),
    Adam(Adam),
    LazyAdam(LazyAdam),
    AdamW(AdamW),
    Adagrad(Adagrad),
    RmsProp(RmsProp),
    Ftrl(Ftrl),
    Groups(Groups),
}

impl BuiltIn {
    fn formula<T: Real>(&self) -> &dyn Optimizer<T> {
        match self {
            Self::Sgd(it) => it,
            Self::Momentum(it) => it,
            Self::Adam(it) => it,
            Self::LazyAdam(it) => it,
            Self::AdamW(it) => it,
            Self::Adagrad(it) => it,
            Self::RmsProp(it) => it,
            Self::Ftrl(it) => it,
            Self::Groups(it) => it,
        }
    }
}

macro_rules! from_each {
    ($($formula:ident)*) => {$(
        impl From<$formula> for BuiltIn {
            fn from(formula: $formula) -> Self {
                Self::$formula(formula)
            }
        }
    )*};
}

from_each! { Sgd Momentum Adam LazyAdam AdamW Adagrad RmsProp Ftrl Groups }

impl<T: Real> Optimizer<T> for BuiltIn {
    fn name(&self) -> &'static str {
        self.formula::<T>().name()
    }

    fn learning_rate(&self) -> &Schedule {
        self.formula::<T>().learning_rate()
    }

    fn slots(&self) -> Vec<SlotSpec> {
        self.formula::<T>().slots()
    }

    fn scalars(&self) -> Vec<ScalarSpec> {
        self.formula::<T>().scalars()
    }

    fn finish(&self, scalars: &mut [f64]) {
        self.formula::<T>().finish(scalars);
    }

    fn sparse_reach(&self) -> SparseReach {
        self.formula::<T>().sparse_reach()
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        self.formula::<T>().instead_for_tables()
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        self.formula::<T>().validate()
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        self.formula().update(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        self.formula().update_checked(step, tile)
    }

    fn of_variable(&self, variable: &str) -> Option<&dyn Optimizer<T>> {
        self.formula().of_variable(variable)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(self.clone())
    }
}
