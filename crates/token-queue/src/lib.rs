//! Placeholder.

mod token;
mod tokens;

pub use token::Token;
pub use tokens::Tokens;
