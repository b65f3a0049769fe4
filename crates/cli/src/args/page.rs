//! Where a page of metrics listens, as written.

use std::net::{IpAddr, SocketAddr};

/// `PORT`, `IP` or `IP:PORT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageAddress {
    /// Loopback, unless given.
    pub ip: Option<IpAddr>,
    /// Another option's, unless given.
    pub port: Option<u16>,
}

/// Reads one.
pub(super) fn parse_page_address(text: &str) -> Result<PageAddress, String> {
    if let Ok(port) = text.parse() {
        return Ok(PageAddress { ip: None, port: Some(port) });
    }
    if let Ok(ip) = text.parse() {
        return Ok(PageAddress { ip: Some(ip), port: None });
    }
    let both: SocketAddr = text
        .parse()
        .map_err(|_| "expected a port, or IP:PORT such as 127.0.0.1:9000".to_owned())?;
    Ok(PageAddress { ip: Some(both.ip()), port: Some(both.port()) })
}
