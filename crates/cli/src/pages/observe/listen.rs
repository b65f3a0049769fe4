//! Where a page listens: from `--dashboard` and `--metrics-port`, and never unprotected within
//! reach of strangers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use cluster::security::check_bind;

use crate::args::{PageAddress, SecurityArgs};
use crate::error::Error;
use crate::system::ports;

/// The address, if a page is requested: none that others reach, unless access is protected.
///
/// # Errors
/// When both options give a port, or neither does, or strangers would reach it.
pub(crate) fn address(
    listen: Option<PageAddress>,
    port: Option<u16>,
    security: &SecurityArgs,
) -> Result<Option<SocketAddr>, Error> {
    let PageAddress { ip, port: own } = listen.unwrap_or_default();
    let port = match (own, port) {
        (None, None) if listen.is_none() => return Ok(None),
        (Some(port), None) | (None, Some(port)) => port,
        (None, None) => {
            return Err(Error::usage(
                "--dashboard: expected a port with the address, got none; give IP:PORT",
            ));
        }
        (Some(own), Some(port)) => {
            return Err(Error::usage(format!(
                "--dashboard has port {own} and --metrics-port is {port}; give one of them"
            )));
        }
    };
    let address = SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
    let is_protected = security.key_file.is_some() || security.tls_ca.is_some();
    check_bind(&address.to_string(), is_protected)
        .map_err(|error| Error::usage(format!("--dashboard: {error}")))?;
    Ok(Some(address))
}

/// Listens there, if anywhere, before anything else is begun.
///
/// # Errors
/// When the port is taken: a user who asked for a page counts on it.
pub(crate) fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, Error> {
    address.map(ports::bind_metrics).transpose()
}
