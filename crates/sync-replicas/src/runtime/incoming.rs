//! Gradients as they come from a replica: named, not yet looked at; and why they are refused.
//!
//! Looks at names alone; kinds and shapes are checked under the lock, by the core.

use accum_core::ApplyError;

use super::sums::Kind;
use crate::layout::Layout;
use crate::{Gradient, Gradients, Scalar};
use engine::Refused;

/// Why a push was refused; nothing changed, and the token is still held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// There is not one pair.
    #[error("no gradients were given; give one for each variable, or say that it is missing")]
    Empty,
    /// Every gradient is missing.
    #[error("no gradients for any variable: all are missing; at least one is needed")]
    AllMissing,
    /// A name that no variable has.
    #[error("a gradient is named `{name}`, but no variable is; the variables are: {known}")]
    UnknownVariable {
        /// The name that came.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Two gradients for one variable.
    #[error("variable `{name}` has two gradients; add them up before the push")]
    Twice {
        /// The variable.
        name: String,
    },
    /// A variable's gradient is not of the kind that it was in the first push.
    #[error("variable `{name}` has {got}, but the first push gave {expected}; keep to one kind")]
    Kind {
        /// The variable.
        name: String,
        /// The kind of the first push.
        expected: Kind,
        /// The kind that came.
        got: Kind,
    },
    /// A gradient that does not fit its variable.
    #[error("the gradient of `{name}` does not fit")]
    Gradient {
        /// The variable.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ApplyError,
    },
    /// The engine refused: training has ended, or the sender is fenced off.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Looks up names and refuses what no variable has; does not look at values. What comes out
/// is in the variables' order.
pub(crate) fn resolve<T: Scalar>(
    layout: &Layout,
    gradients: Gradients<T>,
) -> Result<Vec<(usize, Gradient<T>)>, PushError> {
    if gradients.is_empty() {
        return Err(PushError::Empty);
    }
    let mut resolved = Vec::with_capacity(gradients.len());
    for (position, (name, gradient)) in gradients.into_pairs().into_iter().enumerate() {
        // Most callers give all gradients in the variables' order.
        let index = if position < layout.len() && layout.name(position) == name {
            Some(position)
        } else {
            layout.index_of(&name)
        };
        let Some(index) = index else {
            let known = layout.known();
            return Err(PushError::UnknownVariable { name: name.into_owned(), known });
        };
        resolved.push((index, gradient));
    }
    if !resolved.is_sorted_by_key(|(index, _)| *index) {
        resolved.sort_by_key(|(index, _)| *index);
    }
    if let Some(twice) = resolved.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(PushError::Twice { name: layout.name(twice[0].0).to_owned() });
    }
    if resolved.iter().all(|(_, gradient)| matches!(gradient, Gradient::Missing)) {
        return Err(PushError::AllMissing);
    }
    Ok(resolved)
}
