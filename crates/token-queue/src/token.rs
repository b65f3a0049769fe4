//! The token: permission to work on one global step, as a type that no other number can replace.
//!
//! It carries the step and nothing else. It does not know its holder, for how long it is held, or
//! what happens when the holder dies.

use std::fmt;

/// Permission to compute one gradient, worth the global step that it carries.
///
/// Tokens order by their step: an older token is a smaller one.
///
/// # Examples
/// ```
/// use token_queue::Token;
///
/// let token = Token::new(7);
/// assert_eq!(token.step(), 7);
/// assert!(token < Token::from(8));
/// assert_eq!(token.to_string(), "7");
/// ```
// R-11, R-20
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Token(i64);

impl Token {
    /// The token of global step `step`.
    #[must_use]
    pub const fn new(step: i64) -> Self {
        Self(step)
    }

    /// The global step that the token carries; its taker makes it the local step.
    #[must_use]
    pub const fn step(self) -> i64 {
        self.0
    }
}

impl From<i64> for Token {
    fn from(step: i64) -> Self {
        Self(step)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
