//! Connections as they are served: with TLS if required.
//!
//! A handshake is each connection's own task, so that a slow one holds up no other.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

use super::connection::Connection;
use super::door::Incoming;
use crate::security::{Caller, ServerTls};

/// A connection whose bytes are a call's.
pub(in crate::server) enum Secured {
    Plain(Connection),
    Tls(Box<TlsStream<Connection>>),
}

/// Such connections.
pub(in crate::server) type Served = Pin<Box<dyn Stream<Item = io::Result<Secured>> + Send>>;

/// Encrypts what comes in, where that is asked for, until what it gives is dropped.
pub(in crate::server) fn secure(mut incoming: Incoming, tls: Option<ServerTls>) -> Served {
    let Some(tls) = tls else {
        return Box::pin(incoming.map(|connection| connection.map(Secured::Plain)));
    };
    let (sender, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        // They end with this task.
        let mut handshakes = JoinSet::new();
        loop {
            let next = tokio::select! {
                () = sender.closed() => return,
                next = incoming.next() => next,
            };
            while handshakes.try_join_next().is_some() {}
            match next {
                None => return,
                Some(Err(_)) => {}
                Some(Ok(connection)) => {
                    let (sender, tls) = (sender.clone(), tls.clone());
                    handshakes.spawn(async move {
                        if let Some(secured) = shake_hands(&tls, connection).await {
                            // Fails only when the server has ended.
                            let _ = sender.send(Ok(secured)).await;
                        }
                    });
                }
            }
        }
    });
    Box::pin(ReceiverStream::new(connections))
}

async fn shake_hands(tls: &ServerTls, connection: Connection) -> Option<Secured> {
    let stream = tls.accept(connection).await?;
    if !tls.allows(&stream) {
        // It is told so in answer to its first call.
        stream.get_ref().0.connect_info().forbid();
    }
    Some(Secured::Tls(Box::new(stream)))
}

impl Connected for Secured {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        match self {
            Self::Plain(connection) => connection.connect_info(),
            Self::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll_write(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(connection) => connection.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(connection) => Pin::new(connection).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
