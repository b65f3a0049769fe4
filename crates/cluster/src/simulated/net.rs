//! Simulated TCP for the server and the client: takes the place of sockets, and can be cut between
//! any two bytes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::Receiver;
use tokio_stream::wrappers::ReceiverStream;
use turmoil::net::{TcpListener, TcpStream};

use super::successor::First;
use crate::client::{Dial, DialError, DialFuture, endpoint};

pub(super) const PORT: u16 = 7000;

/// A connection that came in, and from where.
type Accepted = (TcpStream, Option<SocketAddr>);

/// Listens for several servers one after the other.
pub(super) struct Listener(Arc<tokio::sync::Mutex<Receiver<io::Result<Accepted>>>>);

/// Listens on the port that every server has.
pub(super) async fn listen() -> io::Result<Listener> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (sender, incoming) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.map(|(stream, from)| (stream, Some(from)));
            if sender.send(accepted).await.is_err() {
                return;
            }
        }
    });
    Ok(Listener(Arc::new(tokio::sync::Mutex::new(incoming))))
}

impl Listener {
    /// Incoming bytes, for the present reader.
    pub(super) fn incoming(&self) -> ReceiverStream<io::Result<Accepted>> {
        let (shared, (sender, incoming)) = (Arc::clone(&self.0), tokio::sync::mpsc::channel(1));
        tokio::spawn(async move {
            loop {
                let next = async { shared.lock().await.recv().await };
                let accepted = tokio::select! {
                    () = sender.closed() => return,
                    accepted = next => accepted,
                };
                let Some(accepted) = accepted else { return };
                if sender.send(accepted).await.is_err() {
                    return;
                }
            }
        });
        ReceiverStream::new(incoming)
    }
}

/// The connections made, by the names of both ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Cables(Arc<Mutex<Vec<Cable>>>);

#[derive(Debug)]
struct Cable {
    from: String,
    to: String,
    fuse: Fuse,
}

/// How many bytes may still pass, once the connection is set on fire.
#[derive(Clone, Debug, Default)]
struct Fuse(Arc<Mutex<(Option<u64>, Option<Waker>)>>);

impl Cables {
    /// Breaks the connections from one to the other after so many bytes, of either direction.
    pub(super) fn burn(&self, from: &str, to: &str, bytes: u64) {
        let mut cables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // No other owner has the fuses of connections that are gone.
        cables.retain(|cable| Arc::strong_count(&cable.fuse.0) > 1);
        for cable in cables.iter().filter(|cable| cable.from == from && cable.to == to) {
            let mut fuse = cable.fuse.lock();
            fuse.0 = Some(bytes);
            // A reader waits for no more bytes than these.
            fuse.1.take().into_iter().for_each(Waker::wake);
        }
    }

    fn lay(&self, from: &str, to: &str) -> Fuse {
        let (fuse, mut cables) =
            (Fuse::default(), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let to = to.split(':').next().unwrap_or(to).to_owned();
        cables.push(Cable { from: from.to_owned(), to, fuse: fuse.clone() });
        fuse
    }
}

impl Fuse {
    fn lock(&self) -> MutexGuard<'_, (Option<u64>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of so many bytes may pass.
    fn most(&self, bytes: usize) -> io::Result<usize> {
        match self.lock().0 {
            Some(0) => Err(io::ErrorKind::ConnectionReset.into()),
            left => Ok(left.map_or(bytes, |left| bytes.min(left as usize))),
        }
    }

    fn passed(&self, bytes: usize) {
        let mut fuse = self.lock();
        fuse.0 = fuse.0.map(|left| left.saturating_sub(bytes as u64));
    }
}

/// A connection that can be cut.
struct Cut {
    stream: TcpStream,
    fuse: Fuse,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.fuse.lock().1 = Some(context.waker().clone());
        let most = self.fuse.most(buffer.remaining())?;
        let mut bytes = vec![0; most];
        let mut some = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut some);
        buffer.put_slice(some.filled());
        self.fuse.passed(some.filled().len());
        read
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.fuse.most(buffer.len())?;
        let written = Pin::new(&mut self.stream).poll_write(context, &buffer[..most]);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.fuse.passed(*bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Connects this host to others by their names.
pub(super) fn dial(host: String, cables: Cables, first: First) -> Dial {
    Arc::new(move |address: String| -> DialFuture {
        let (host, cables, first) = (host.clone(), cables.clone(), first.clone());
        Box::pin(async move {
            let connector = tower::service_fn(move |_| {
                let fuse = cables.lay(&host, &address);
                let name = address.split(':').next().unwrap_or(&address);
                let host = first.host(name);
                async move {
                    let stream = TcpStream::connect((host.as_str(), PORT)).await?;
                    Ok::<_, io::Error>(TokioIo::new(Cut { stream, fuse }))
                }
            });
            let endpoint = endpoint("http://simulated")?;
            endpoint.connect_with_connector(connector).await.map_err(DialError::Transport)
        })
    })
}
