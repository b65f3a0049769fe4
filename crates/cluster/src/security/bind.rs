//! Where a process may listen.
//!
//! Judges the text of an address; resolves no names, so a name that would turn out to be this
//! machine counts as another. Invariant: an address that others can reach is never let through
//! unprotected.

use std::net::IpAddr;

/// The address is open to other machines, and nothing would ask callers for a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines: expected 127.0.0.1, [::1] or localhost, or \
     protection; give TLS with --tls-cert, --tls-key and --tls-ca, or a shared key with --key-file"
)]
#[non_exhaustive]
pub struct BindError {
    /// The requested address.
    pub address: String,
}

/// Lets `address` (`host:port`) through if it is of the loopback interface or calls are
/// `protected`, which they are by mutual TLS or by a shared key.
///
/// # Errors
///
/// [`BindError`] for an address that others can reach, unless `protected`.
pub fn check_bind(address: &str, protected: bool) -> Result<(), BindError> {
    if protected || is_loopback(address) {
        return Ok(());
    }
    Err(BindError { address: address.to_owned() })
}

fn is_loopback(address: &str) -> bool {
    let Some((host, _port)) = address.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
