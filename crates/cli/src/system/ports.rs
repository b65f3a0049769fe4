//! Ports: free ones on loopback for a launched cluster, and those of pages.
//!
//! Invariant: no free one is among those that the system gives to outgoing connections. A client
//! that looks for a server on such a port, while the server is away, could be given the port and
//! hold it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::error::Error;

/// Below what Linux, macOS and Windows hand out, above what services use.
const FROM: u16 = 20_000;
const TO: u16 = 32_000;

/// This many ports on which nothing listens now.
pub(crate) fn free(wanted: usize) -> Result<Vec<u16>, Error> {
    let range = TO - FROM;
    // Launchers that begin at the same time look in different places.
    let first = (std::process::id().wrapping_mul(64) % u32::from(range)) as u16;
    let ports = (0..range).map(|i| FROM + (first + i) % range);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = ports.filter(free).take(wanted).collect();
    if ports.len() < wanted {
        return Err(Error::failed(format!(
            "expected {wanted} free ports on loopback, got {}; end what listens there",
            ports.len()
        )));
    }
    Ok(ports)
}

/// Listens for viewers of a page.
pub(crate) fn bind_metrics(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|error| {
        let (ip, port) = (address.ip(), address.port());
        Error::failed(format!(
            "--dashboard: port {port} of {ip} cannot be used: {error}; give another one"
        ))
    })
}
