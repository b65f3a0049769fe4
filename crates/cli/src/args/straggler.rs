//! The option `--straggler`.

use std::str::FromStr;
use std::time::Duration;

/// One `--straggler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StragglerArg {
    /// `none`: no replica is slow.
    None,
    /// `REPLICA=MILLISECONDS`.
    Slow {
        /// The replica.
        replica: u64,
        /// How long it pauses before each batch.
        delay: Duration,
    },
}

impl FromStr for StragglerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        text.split_once('=')
            .and_then(|(replica, millis)| Some((replica.parse().ok()?, millis.parse().ok()?)))
            .map(|(replica, millis)| Self::Slow { replica, delay: Duration::from_millis(millis) })
            .ok_or_else(|| "expected REPLICA=MILLISECONDS, such as 4=20, or none".to_owned())
    }
}
