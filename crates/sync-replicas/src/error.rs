//! What is wrong with a gradient, an update or a batch size, in detail.

pub use crate::batch_sampler::SamplerError;
pub use crate::store::{Cause, GradientError, NotFinite, Torn, UpdateError};
