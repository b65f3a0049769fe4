//! A run's identity: what tells its checkpoints from those of every other run (P-24).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A random number of 128 bits that a run keeps through all its restarts; written as 32
/// hexadecimal digits.
///
/// # Examples
/// ```
/// use sync_replicas::checkpoint::RunId;
///
/// let run = RunId::draw();
/// assert_eq!(run.to_string().parse(), Ok(run));
/// assert_ne!(run, RunId::draw());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(u128);

/// A text that is no run's identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits, got {0:?}")]
pub struct RunIdError(String);

impl RunId {
    /// The identity of a new run.
    #[must_use]
    pub fn draw() -> Self {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // A system without random numbers still has a clock and processes.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.unwrap_or_default().as_nanos();
            return Self(now << 32 | u128::from(std::process::id()));
        }
        Self(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| RunIdError(text.to_owned()))
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.to_string()
    }
}
