//! A connection of any kind, of which little is read until its peer is admitted (P-27).
//!
//! Reading stops after [`MOST_UNPROVEN`] bytes, and after a refusal; a connection not admitted in
//! time is closed, even if the peer does not read. Knows nothing of keys: the guard decides who
//! is admitted.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::security::{Peer, Standing};

/// How long a peer may take until its first call is admitted.
pub(super) const PROOF: Duration = Duration::from_secs(10);

/// How long a refused peer may take to read why.
const REFUSED: Duration = Duration::from_secs(1);

/// How many bytes are read before the first call is admitted.
pub(super) const MOST_UNPROVEN: usize = 64 << 10;

/// A connection of any kind.
pub(in crate::server) struct Connection {
    io: Box<dyn ReadWrite>,
    peer: Peer,
    /// Until its peer is admitted.
    unproven: Option<Unproven>,
    /// Held while it is open; by what is under the encryption, where there is one.
    _open: Option<Arc<()>>,
}

struct Unproven {
    until: Pin<Box<Sleep>>,
    is_refused: bool,
    read: usize,
}

trait ReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ReadWrite for T {}

impl Connection {
    /// One whose peer must be admitted within [`PROOF`] from now; holds `open` while it is open.
    pub(super) fn new<IO>(io: IO, peer: Peer, open: Arc<()>) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unproven = Unproven { until: Box::pin(sleep(PROOF)), is_refused: false, read: 0 };
        Self { io: Box::new(io), peer, unproven: Some(unproven), _open: Some(open) }
    }

    /// The same connection as its calls see it: the one that TLS is on reads no more than it may.
    pub(super) fn encrypted(stream: TlsStream<Self>) -> Self {
        let peer = stream.get_ref().0.peer.clone();
        Self { io: Box::new(stream), peer, unproven: None, _open: None }
    }

    /// How many bytes may be read now; wakes the task when that changes.
    ///
    /// # Errors
    /// When the connection must close.
    fn budget(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let Some(unproven) = &mut self.unproven else { return Ok(usize::MAX) };
        match self.peer.standing(context.waker()) {
            Standing::Admitted => {
                self.unproven = None;
                return Ok(usize::MAX);
            }
            Standing::TurnedAway => return Err(io::ErrorKind::ConnectionAborted.into()),
            Standing::Refused if !unproven.is_refused => {
                unproven.is_refused = true;
                unproven.until.as_mut().reset(Instant::now() + REFUSED);
            }
            Standing::Unproven | Standing::Refused => {}
        }
        if unproven.until.as_mut().poll(context).is_ready() {
            self.peer.turn_away();
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(if unproven.is_refused { 0 } else { MOST_UNPROVEN - unproven.read })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.turn_away();
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let budget = self.budget(context)?;
        let this = &mut *self;
        let Some(unproven) = &mut this.unproven else {
            return Pin::new(&mut this.io).poll_read(context, buffer);
        };
        if budget == 0 {
            return Poll::Pending;
        }
        let most = budget.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let polled = Pin::new(&mut this.io).poll_read(context, &mut part);
        let read = part.filled().len();
        buffer.advance(read);
        unproven.read += read;
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.budget(context)?;
        Pin::new(&mut self.io).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.budget(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.budget(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that reads nothing must not hold up the close, either.
        self.budget(context)?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A connection, its peer, and the peer's end of it.
    fn connection() -> (Connection, Peer, DuplexStream) {
        let (own, theirs) = duplex(1 << 20);
        let peer = Peer::new(None);
        (Connection::new(own, peer.clone(), Arc::default()), peer, theirs)
    }

    /// What reading to the end gives, and the seconds that it takes.
    async fn read(mut connection: Connection) -> (Result<usize, io::ErrorKind>, u64) {
        let (begun, mut read) = (Instant::now(), 0);
        let mut buffer = vec![0; 100_000];
        let ended = loop {
            match connection.read(&mut buffer).await {
                Ok(0) => break Ok(read),
                Ok(some) => read += some,
                Err(error) => break Err(error.kind()),
            }
        };
        (ended, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_proves_nothing_is_closed_in_time() {
        let (silent, _, _theirs) = connection();
        assert_eq!(read(silent).await, (Err(io::ErrorKind::TimedOut), PROOF.as_secs()));

        let (refused, peer, _theirs) = connection();
        peer.refuse();
        assert_eq!(read(refused).await, (Err(io::ErrorKind::TimedOut), REFUSED.as_secs()));

        let (turned_away, peer, _theirs) = connection();
        peer.turn_away();
        assert_eq!(read(turned_away).await, (Err(io::ErrorKind::ConnectionAborted), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_closed_in_time() {
        let (own, _theirs) = duplex(10);
        let mut connection = Connection::new(own, Peer::new(None), Arc::default());
        let begun = Instant::now();
        let ended = connection.write_all(&[0; 100]).await.expect_err("nobody reads");
        assert_eq!((ended.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, PROOF));
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_read_before_the_proof_and_all_after_it() {
        let (mut own, peer, mut theirs) = connection();
        theirs.write_all(&[7; 500_000]).await.expect("there is room");
        let mut first = vec![0; MOST_UNPROVEN];
        own.read_exact(&mut first).await.expect("so much is read");
        let more = tokio::time::timeout(PROOF / 2, own.read(&mut first)).await;
        assert!(more.is_err(), "more was read");
        // It wakes the reader.
        let (read, ()) = tokio::join!(read(own), async {
            peer.admit();
            // And says no more.
            drop(theirs);
        });
        assert_eq!(read, (Ok(500_000 - MOST_UNPROVEN), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_admitted_stays() {
        let (own, peer, mut theirs) = connection();
        peer.admit();
        peer.refuse();
        peer.turn_away();
        let (read, ()) = tokio::join!(read(own), async {
            tokio::time::sleep(3 * PROOF).await;
            theirs.write_all(&[7; 10]).await.expect("it is open");
            drop(theirs);
        });
        assert_eq!(read, (Ok(10), 3 * PROOF.as_secs()));
    }
}
