//! How gradients are clipped before they are pushed.

use std::fmt;

use optim::{clip_by_global_norm, clip_by_norm, clip_by_value};
use sync_replicas::Gradients;

use crate::error::UsageError;

/// How gradients are clipped before they are pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Each element to ± this.
    Value(f64),
    /// Each variable's gradient to this norm.
    Norm(f64),
    /// All of a replica's gradients together to this norm.
    GlobalNorm(f64),
}

impl Clip {
    /// The given limit, if any.
    ///
    /// # Errors
    /// [`UsageError::Option`] when the limit is not finite or not above zero.
    pub fn new(
        value: Option<f64>,
        norm: Option<f64>,
        global_norm: Option<f64>,
    ) -> Result<Option<Self>, UsageError> {
        let clips = [
            ("--clip-value", value.map(Self::Value), value),
            ("--clip-norm", norm.map(Self::Norm), norm),
            ("--clip-global-norm", global_norm.map(Self::GlobalNorm), global_norm),
        ];
        for (option, clip, limit) in clips {
            if let Some(got) = limit {
                if !(got.is_finite() && got > 0.0) {
                    return Err(UsageError::option(option, "a finite number above 0", got));
                }
                return Ok(clip);
            }
        }
        Ok(None)
    }

    /// Clips in place. A gradient that is not finite stays as it is: its loss is not finite either,
    /// and the guard that watches the loss can name the step.
    pub(crate) fn apply(self, gradients: &mut Gradients<f32>) {
        let mut views = gradients.views_mut();
        let clipped = match self {
            Self::Value(limit) => {
                views.into_iter().try_for_each(|view| clip_by_value(view, -limit, limit))
            }
            Self::Norm(limit) => {
                views.into_iter().try_for_each(|view| clip_by_norm(view, limit).map(drop))
            }
            Self::GlobalNorm(limit) => clip_by_global_norm(&mut views, limit).map(drop),
        };
        if let Err(error) = clipped {
            tracing::warn!(%error, "a gradient is pushed as it is");
        }
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(limit) => write!(f, "each element to ±{limit}"),
            Self::Norm(limit) => write!(f, "each gradient to norm {limit}"),
            Self::GlobalNorm(limit) => write!(f, "all gradients to norm {limit}"),
        }
    }
}
