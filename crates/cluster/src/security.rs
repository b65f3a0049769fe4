//! Which callers may reach a process of a cluster.
//!
//! The rule where to listen, a key that all processes share, and TLS; not accounts, and no rights
//! that differ between callers. Invariant: a process open to other machines asks every caller for a
//! proof.

mod bind;
mod denial_log;
mod guard;
mod header;
mod key;
mod layer;
mod peer;
mod secret;
mod server_tls;
#[cfg(test)]
mod tests;
mod tls;

pub use bind::{BindError, check_bind};
pub(crate) use denial_log::DenialLog;
pub use guard::{Denial, DenialCounts, Guard};
pub use key::{KeyError, SharedKey};
pub use layer::{Admission, AdmissionLayer, Signer};
pub(crate) use peer::{Peer, Standing};
pub use secret::Exposed;
pub use server_tls::ServerTls;
pub use tls::{TlsError, TlsSettings};

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; a plain function, so that a test can hand in another.
pub type WallClock = fn() -> u64;

/// The machine's clock.
#[must_use]
pub fn wall_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
