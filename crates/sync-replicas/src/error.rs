//! What is wrong with a gradient or an update, in detail.

pub use crate::store::{Cause, GradientError, NotFinite, Torn, UpdateError};
