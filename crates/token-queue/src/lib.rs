//! Placeholder.

mod token;
mod tokens;

mod attempts;
mod queue;

mod error;
mod sync;

pub use error::{CapacityError, CloseError, DequeueError, EnqueueError, TryEnqueueError};
pub use queue::TokenQueue;
pub use token::Token;
pub use tokens::Tokens;
