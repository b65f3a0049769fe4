//! Why a push was refused.

use engine::Refused;

use crate::store::GradientError;

/// Why a push was refused; nothing changed, and the token is still held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The gradients do not fit the variables, or the first ones.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// The engine refused: training has ended, or the sender is fenced off.
    #[error(transparent)]
    Refused(#[from] Refused),
}
