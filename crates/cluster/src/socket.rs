//! Sockets, as streams of large messages want them.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpStream;

/// How much is sent to a process of the same machine before it has read it. More would only have
/// left the cache by then. Over a real network more must be under way, and the system finds out how
/// much.
const LOOPBACK: usize = 256 << 10;

/// Connects to a host and port.
pub(crate) async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    prepare(&stream);
    Ok(stream)
}

/// A connection that came in, and from where.
pub(crate) fn accepted(stream: TcpStream) -> (TcpStream, Option<SocketAddr>) {
    prepare(&stream);
    // Fails where the other side has gone already.
    let address = stream.peer_addr().ok();
    (stream, address)
}

/// Sets the options of a connection. Without them it is slower, but works.
fn prepare(stream: &TcpStream) {
    let options = || {
        stream.set_nodelay(true)?;
        if stream.peer_addr()?.ip().to_canonical().is_loopback() {
            SockRef::from(stream).set_send_buffer_size(LOOPBACK)?;
        }
        Ok::<_, io::Error>(())
    };
    if let Err(error) = options() {
        tracing::debug!(%error, "a socket's options were not set");
    }
}
