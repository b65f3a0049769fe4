//! Simulated TCP for the server and the client: what they take instead of sockets.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};

use crate::client::{Dial, DialFuture, endpoint};

pub(super) const PORT: u16 = 7000;

/// A simulated connection that a server has accepted.
pub(super) struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Listens on this host.
pub(super) async fn listen() -> io::Result<ReceiverStream<io::Result<Accepted>>> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (sender, incoming) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
            if sender.send(accepted).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(incoming))
}

/// Connects to a host by its name.
pub(super) fn dial() -> Dial {
    Arc::new(|address: String| -> DialFuture {
        Box::pin(async move {
            let connector = tower::service_fn(move |_| {
                let address = address.clone();
                async move { TcpStream::connect(address).await.map(TokioIo::new) }
            });
            let endpoint = endpoint("http://simulated")?;
            endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
        })
    })
}
