//! Which variables have gradients of which kind, as the first pushes fixed it, and what
//! later ones must be like.
//!
//! Where a replica's gradients are admitted together, the first push fixes all variables; where
//! each variable is admitted by itself, it fixes those that it names, and the first push with a
//! variable left out then fixes it. What is fixed never changes, so gradients are checked against
//! it without a lock.

use std::fmt;
use std::sync::OnceLock;

use engine::Admission;

use crate::Gradient;

/// The kind of a variable's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientKind {
    /// A number for every element.
    Dense,
    /// Indexed slices.
    Sparse,
    /// None at all.
    Missing,
}

impl GradientKind {
    /// The kind of this gradient.
    #[must_use]
    pub fn of<T>(gradient: &Gradient<T>) -> Self {
        match gradient {
            Gradient::Dense(_) => Self::Dense,
            Gradient::Sparse(_) => Self::Sparse,
            Gradient::Missing => Self::Missing,
        }
    }
}

impl fmt::Display for GradientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dense => "a dense gradient",
            Self::Sparse => "a sparse gradient",
            Self::Missing => "no gradient",
        })
    }
}

/// The kinds of gradients by variable.
pub fn kinds<T>(gradients: &[(usize, Gradient<T>)]) -> impl Iterator<Item = (usize, GradientKind)> {
    gradients.iter().map(|(variable, gradient)| (*variable, GradientKind::of(gradient)))
}

/// What the gradients of each variable are like.
#[derive(Clone, Debug)]
pub struct GradientSpec {
    variables: Vec<OnceLock<Fixed>>,
    /// A push may leave variables out.
    partial: bool,
}

#[derive(Clone, Copy, Debug)]
struct Fixed {
    kind: GradientKind,
    /// The lane that admits it; `None` without a gradient.
    lane: Option<usize>,
}

/// A variable's gradient differs in kind from the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The variable.
    pub variable: usize,
    /// The kind at first.
    pub expected: GradientKind,
    /// The kind now.
    pub got: GradientKind,
}

impl GradientSpec {
    /// Nothing is fixed yet.
    #[must_use]
    pub fn new(variables: usize, admission: Admission) -> Self {
        let variables = (0..variables).map(|_| OnceLock::new()).collect();
        Self { variables, partial: admission == Admission::PerVariable }
    }

    /// Checks the kinds of a push against what is fixed; whether all of it is. They are in the
    /// variables' order; a variable that is not among them has no gradient.
    ///
    /// # Errors
    /// [`Misfit`], the first one.
    pub fn check(&self, push: impl Iterator<Item = (usize, GradientKind)>) -> Result<bool, Misfit> {
        let mut all_fixed = true;
        for (variable, got) in self.all(push) {
            match self.variables[variable].get() {
                Some(Fixed { kind: expected, .. }) if *expected != got => {
                    return Err(Misfit { variable, expected: *expected, got });
                }
                Some(_) => {}
                None => all_fixed = false,
            }
        }
        Ok(all_fixed)
    }

    /// Fixes the variables of a fitting push that no push had before: these, with their kinds. One
    /// caller at a time.
    pub fn fix(
        &self,
        push: impl Iterator<Item = (usize, GradientKind)>,
    ) -> Vec<(usize, GradientKind)> {
        let new = |&(variable, _): &(usize, GradientKind)| self.variables[variable].get().is_none();
        let new: Vec<_> = self.all(push).filter(new).collect();
        self.declare(new.iter().copied());
        new
    }

    /// Declares, before any push, the kind of these variables' gradients.
    ///
    /// If each variable is admitted by itself, as in TensorFlow, each has a lane.
    pub fn declare(&self, kinds: impl Iterator<Item = (usize, GradientKind)>) {
        let mut next = self.with_gradients();
        for (variable, kind) in kinds {
            let lane =
                (kind != GradientKind::Missing).then_some(if self.partial { next } else { 0 });
            next += usize::from(lane.is_some());
            // One caller at a time, and after a look, so that none is there.
            let _ = self.variables[variable].set(Fixed { kind, lane });
        }
    }

    /// How many variables have gradients, as far as is known.
    #[must_use]
    pub fn with_gradients(&self) -> usize {
        self.variables.iter().filter_map(OnceLock::get).filter(|it| it.lane.is_some()).count()
    }

    /// The lane that admits a variable's gradients, if it has any.
    #[must_use]
    pub fn lane(&self, variable: usize) -> Option<usize> {
        self.variables.get(variable)?.get()?.lane
    }

    /// Every variable that the push mentions, with the kind of its gradient: one walk through both
    /// finds what is left out, which says nothing where each is admitted by itself.
    fn all(
        &self,
        push: impl Iterator<Item = (usize, GradientKind)>,
    ) -> impl Iterator<Item = (usize, GradientKind)> {
        let (mut push, partial) = (push.peekable(), self.partial);
        let all = (0..self.variables.len()).map(move |variable| {
            let own = push.next_if(|&(given, _)| given == variable);
            (variable, own.map_or(GradientKind::Missing, |(_, kind)| kind))
        });
        all.filter(move |&(_, kind)| !(partial && kind == GradientKind::Missing))
    }
}
