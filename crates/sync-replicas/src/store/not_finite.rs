//! The error for an update that is not finite: which variable, which step, and which replicas'
//! gradients.
//!
//! Searched for after the fact, so that it costs a good update nothing.

use accum_core::{DenseSum, GlobalStep};
use engine::ReplicaId;
use ndarray::ArrayViewD;

use crate::Scalar;

/// An update came out infinite or NaN, and was not made.
// P-25
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the update of variable `{variable}` at step {step} is not finite (NaN or infinite): {cause}"
)]
pub struct NotFinite {
    /// The variable.
    pub variable: String,
    /// The step being applied.
    pub step: GlobalStep,
    /// Where it comes from.
    pub cause: Cause,
}

/// Where numbers that are not finite come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Gradients of one or more of these replicas are not finite.
    Gradients(Vec<ReplicaId>),
    /// The gradients are finite, and their sum or the update is too large for the number type.
    Overflow,
    /// The gradients were summed as they came; these replicas contributed.
    Unknown(Vec<ReplicaId>),
}

impl Cause {
    /// From the contributions of a step by their keys, and the keys of those that are not finite
    /// while the gradients are still apart.
    pub(super) fn of(contributors: &[(u64, ReplicaId)], found: Option<&[u64]>) -> Self {
        let named = |key: &u64| found.is_none_or(|found| found.contains(key));
        let named = contributors.iter().filter(|(key, _)| named(key));
        let mut replicas: Vec<ReplicaId> = named.map(|(_, replica)| *replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        match found {
            None => Self::Unknown(replicas),
            Some([]) => Self::Overflow,
            Some(_) => Self::Gradients(replicas),
        }
    }
}

/// The keys of the gradients in a sum that are not finite; `None` where they were summed as they
/// came.
pub(super) fn not_finite_in<T: Scalar>(sum: &DenseSum<T>) -> Option<Vec<u64>> {
    let finite = |gradient: &ArrayViewD<'_, T>| gradient.iter().all(|x| x.is_finite());
    let mut held = sum.held().peekable();
    held.peek()?;
    Some(held.filter(|(_, gradient)| !finite(gradient)).map(|(key, _)| key).collect())
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gradients(replicas) => {
                write!(f, "so is the gradient of {}; look at its batch and loss", all(replicas))
            }
            Self::Overflow => f.write_str(
                "all gradients are finite, but their sum or the update is too large; try a lower \
                 learning rate or clipping",
            ),
            Self::Unknown(replicas) => write!(
                f,
                "{} contributed to it; try a lower learning rate or clipping",
                all(replicas)
            ),
        }
    }
}

fn all(replicas: &[ReplicaId]) -> String {
    match replicas {
        [one] => one.to_string(),
        many => {
            let names: Vec<String> = many.iter().map(|replica| replica.get().to_string()).collect();
            format!("replicas {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-25
    #[test]
    fn the_replica_is_named_where_it_is_known() {
        #[track_caller]
        fn check(found: Option<&[u64]>, said: &str) {
            let contributors = [(0, 4), (1, 2), (2, 4), (3, 0)];
            let contributors = contributors.map(|(key, it)| (key, ReplicaId::new(it)));
            let (variable, step) = ("w".to_owned(), GlobalStep::new(7));
            let error = NotFinite { variable, step, cause: Cause::of(&contributors, found) };
            let error = error.to_string();
            assert!(error.starts_with("the update of variable `w` at step 7 is not"), "{error}");
            assert!(error.contains(said), "{error}");
        }
        check(Some(&[2]), "so is the gradient of replica 4;");
        check(Some(&[0, 1, 2]), "so is the gradient of replicas 2, 4;");
        check(Some(&[]), "all gradients are finite");
        check(None, "replicas 0, 2, 4 contributed");
    }
}
