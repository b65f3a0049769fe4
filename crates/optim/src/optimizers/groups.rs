//! Groups of variables with their own numbers: another rate for some, no weight decay for others.

use super::BuiltIn;
use crate::{
    HyperParameterError, Optimizer, Real, ScalarSpec, Schedule, SlotSpec, SparseReach, Step, Tile,
};

/// One formula for all variables, with other numbers for those of some groups.
///
/// A group has the same formula as the rest, since slots and scalars are one set for all variables:
/// its learning rate, weight decay and the like are its own, and the numbers behind the scalars,
/// such as Adam's betas, are the rest's.
///
/// # Examples
/// No weight decay for biases, as is usual:
/// ```
/// use ndarray::array;
/// use optim::{AdamW, Groups, OptimizerState};
///
/// let groups = Groups::new(AdamW::new(0.1).weight_decay(0.5))
///     .group(["bias"], AdamW::new(0.1).weight_decay(0.0));
/// let mut state = OptimizerState::<f64>::new(groups)?;
/// let (mut weight, mut bias) = (array![1.0].into_dyn(), array![1.0].into_dyn());
/// state.add_variable("weight", weight.shape())?;
/// state.add_variable("bias", bias.shape())?;
/// let nothing = array![0.0].into_dyn();
/// state.apply_dense("weight", weight.view_mut(), &nothing)?;
/// state.apply_dense("bias", bias.view_mut(), &nothing)?;
/// assert_eq!((weight[0], bias[0]), (0.95, 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Groups {
    rest: Box<BuiltIn>,
    groups: Vec<Group>,
}

/// Variables, and their formula.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Group {
    variables: Vec<String>,
    formula: BuiltIn,
}

impl Groups {
    /// This formula for all variables that are in no group.
    pub fn new(rest: impl Into<BuiltIn>) -> Self {
        Self { rest: Box::new(rest.into()), groups: Vec::new() }
    }

    /// The same formula with other numbers for these variables; a variable is in one group at most.
    #[must_use]
    pub fn group<N: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = N>,
        formula: impl Into<BuiltIn>,
    ) -> Self {
        let variables = variables.into_iter().map(Into::into).collect();
        self.groups.push(Group { variables, formula: formula.into() });
        self
    }

    fn of(&self, variable: &str) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.variables.iter().any(|it| it == variable))
    }

    /// Whether all groups have the rest's formula, and no variable is in two.
    fn check<T: Real>(&self) -> Result<(), HyperParameterError> {
        let rest: &dyn Optimizer<T> = &*self.rest;
        let one = |group: &Group| group.variables.iter().all(|it| self.of(it).count() == 1);
        for (number, group) in self.groups.iter().enumerate() {
            let formula: &dyn Optimizer<T> = &group.formula;
            formula.validate()?;
            let same = formula.name() == rest.name()
                && formula.slots() == rest.slots()
                && formula.scalars() == rest.scalars()
                && !matches!(group.formula, BuiltIn::Groups(_));
            let (owner, number) = ("groups", number as f64);
            let allowed = "of the rest's formula, with its slots and scalars";
            HyperParameterError::unless(same, owner, "a group", allowed, number)?;
            let allowed = "of variables that are in no other";
            HyperParameterError::unless(one(group), owner, "a group", allowed, number)?;
        }
        Ok(())
    }
}

impl<T: Real> Optimizer<T> for Groups {
    fn name(&self) -> &'static str {
        Optimizer::<T>::name(&*self.rest)
    }

    fn learning_rate(&self) -> &Schedule {
        Optimizer::<T>::learning_rate(&*self.rest)
    }

    fn slots(&self) -> Vec<SlotSpec> {
        Optimizer::<T>::slots(&*self.rest)
    }

    fn scalars(&self) -> Vec<ScalarSpec> {
        Optimizer::<T>::scalars(&*self.rest)
    }

    fn finish(&self, scalars: &mut [f64]) {
        Optimizer::<T>::finish(&*self.rest, scalars);
    }

    fn sparse_reach(&self) -> SparseReach {
        Optimizer::<T>::sparse_reach(&*self.rest)
    }

    fn instead_for_tables(&self) -> Option<&'static str> {
        Optimizer::<T>::instead_for_tables(&*self.rest)
    }

    fn validate(&self) -> Result<(), HyperParameterError> {
        Optimizer::<T>::validate(&*self.rest)?;
        self.check::<T>()
    }

    fn of_variable(&self, variable: &str) -> Option<&dyn Optimizer<T>> {
        let group = self.of(variable).next()?;
        Some(&group.formula)
    }

    fn built_in(&self) -> Option<BuiltIn> {
        Some(BuiltIn::Groups(self.clone()))
    }

    fn update(&self, step: &Step<'_>, tile: Tile<'_, T>) {
        self.rest.update(step, tile);
    }

    fn update_checked(&self, step: &Step<'_>, tile: Tile<'_, T>) -> bool {
        self.rest.update_checked(step, tile)
    }
}
