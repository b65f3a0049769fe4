//! What is wrong with a description of a cluster.
//!
//! Not about networks: nothing is connected yet. Invariant: a message stays short, however long the
//! refused text.

/// The description of a cluster could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A variable that the others require is not set.
    #[error("{variable} is not set: expected {expected}")]
    Missing {
        /// Which variable.
        variable: &'static str,
        /// The expected value.
        expected: &'static str,
    },
    /// A variable, key or option has an unexpected value.
    #[error("{variable}: expected {expected}, got {got}")]
    Invalid {
        /// The variable, with the key in it, or the option.
        variable: String,
        /// The expected value.
        expected: String,
        /// Its value, shortened.
        got: String,
    },
}

const SHOWN: usize = 120;

impl SpecError {
    pub(crate) fn invalid(
        variable: impl Into<String>,
        expected: impl Into<String>,
        got: impl AsRef<str>,
    ) -> Self {
        let got = got.as_ref();
        let mut shown: String = got.chars().take(SHOWN).collect();
        if shown.len() < got.len() {
            shown.push_str("...");
        }
        if shown.is_empty() {
            shown.push_str("nothing");
        }
        Self::Invalid { variable: variable.into(), expected: expected.into(), got: shown }
    }
}

/// Accepts an address of the form `host:port`, where an IPv6 host is in brackets; `variable` says
/// where it stands.
///
/// # Errors
/// [`SpecError::Invalid`].
pub fn check_address(variable: &str, address: &str) -> Result<(), SpecError> {
    let good = address.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = !host.is_empty() && !host.contains([':', '/', '@']);
        let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        let visible = !host.contains(|c: char| c.is_whitespace() || c.is_control());
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        (plain || bracketed) && visible && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good {
        return Ok(());
    }
    let expected = "host:port with a port from 1 to 65535";
    Err(SpecError::invalid(variable, expected, address))
}
