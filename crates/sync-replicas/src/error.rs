//! What can go wrong, one error an operation, and the details that they have.

pub use embedding_table::TableError;

pub use crate::batch_sampler::SamplerError;
pub use crate::builder::BuildError;
pub use crate::fit::FitError;
pub use crate::lookup::LookupError;
pub use crate::runtime::{PushError, WaitError};
pub use crate::store::{Cause, GradientError, NotFinite, Torn, UpdateError};
pub use crate::variable_error::VariableError;
