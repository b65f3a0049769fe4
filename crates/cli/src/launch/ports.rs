//! Free ports on loopback.
//!
//! Invariant: none is one that the system gives to outgoing connections. A client that looks for a
//! server on such a port, while the server is away, could be given the port and hold it.

use std::net::{Ipv4Addr, TcpListener};

/// Below what Linux, macOS and Windows hand out, above what services use.
const FROM: u16 = 20_000;
const TO: u16 = 32_000;

/// Why there is no room for so many servers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortsError {
    /// Nearly all are taken.
    #[error("expected {wanted} free ports on loopback, got {found}; end what listens there")]
    Few {
        /// How many are needed.
        wanted: usize,
        /// How many are free.
        found: usize,
    },
    /// One that was asked for is taken.
    #[error("--metrics-port: port {port} on loopback cannot be used: {source}; give another one")]
    Taken {
        /// Which.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
}

/// So many ports on which nothing listens now.
pub(super) fn free(wanted: usize) -> Result<Vec<u16>, PortsError> {
    let range = TO - FROM;
    // Launchers that begin at the same time look in different places.
    let first = (std::process::id().wrapping_mul(64) % u32::from(range)) as u16;
    let ports = (0..range).map(|i| FROM + (first + i) % range);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = ports.filter(free).take(wanted).collect();
    if ports.len() < wanted {
        return Err(PortsError::Few { wanted, found: ports.len() });
    }
    Ok(ports)
}

/// Whether nothing listens on these ports now.
pub(super) fn check(ports: impl Iterator<Item = u16>) -> Result<(), PortsError> {
    for port in ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|source| PortsError::Taken { port, source })?;
    }
    Ok(())
}
