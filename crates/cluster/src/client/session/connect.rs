//! The session's lines: opened, opened again, and for how long that is tried.
//!
//! While one line is being opened the others go on: what comes over them is taken at once, so that
//! whoever is told of the end does not look for a server that has ended too.

use std::time::Duration;

use sync_replicas::Scalar;
use tokio::time::Instant;

use super::{Session, WaitError};
use crate::client::line::{Line, NoLine, Ways, pause};
use crate::proto;

/// Servers that are away for no longer are not worth a warning.
const QUIET: Duration = Duration::from_secs(5);

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// Opens the lines that are missing, the coordinator's first. Until all are there and the
    /// coordinator has welcomed the replica, its patience runs. Also done once something has come
    /// that ends the wait; after the end of training that is nothing new.
    pub(super) async fn connect(&mut self) -> Result<(), WaitError> {
        let (mut attempt, over) = (0, self.ended.is_some());
        while let Some(server) = self.lines.iter().position(Option::is_none) {
            if let Some(reason) = self.refused.take() {
                return Err(WaitError::Refused { reason });
            }
            let down = self.down.get_or_insert_with(Instant::now);
            let spent = down.elapsed();
            if let Some(retry) = self.retry.take()
                && self.meanwhile(tokio::time::sleep_until(retry), over).await.is_none()
            {
                return Ok(());
            }
            let opening = self.opening(server);
            let Some(opened) = self.meanwhile(opening, over).await else { return Ok(()) };
            match opened {
                Ok(line) => self.lines[server] = Some(line),
                Err(NoLine::Never(reason)) => return Err(WaitError::Refused { reason }),
                Err(NoLine::Later(reason)) if spent >= self.settings.patience => {
                    let reason = format!("{reason}{}", self.reach.advice(server).await);
                    return Err(WaitError::Unreachable {
                        server,
                        address: self.reach.address(server).to_owned(),
                        seconds: spent.as_secs_f64(),
                        reason,
                    });
                }
                Err(NoLine::Later(reason)) => {
                    self.tell_of_wait(server, spent, &reason);
                    if self.meanwhile(tokio::time::sleep(pause(attempt)), over).await.is_none() {
                        return Ok(());
                    }
                    attempt += 1;
                }
            }
        }
        if self.ticket.is_some() {
            (self.down, self.told) = (None, false);
        }
        Ok(())
    }

    /// Says that a server is out of reach, aloud once it is for longer than a start takes.
    fn tell_of_wait(&mut self, server: usize, spent: Duration, reason: &str) {
        if spent < QUIET || self.told {
            tracing::debug!(server, reason, "no connection yet");
            return;
        }
        self.told = true;
        let (address, left) =
            (self.reach.address(server), self.settings.patience.saturating_sub(spent));
        tracing::warn!(
            "ps {server} at {address} is out of reach, and is tried for {:.0} s more: {reason}",
            left.as_secs_f64()
        );
    }

    /// Waits for something, and takes what comes over the lines meanwhile; `None` once that ends
    /// the wait. With `over` the end of training does not.
    async fn meanwhile<W: Future>(&mut self, work: W, over: bool) -> Option<W::Output> {
        tokio::pin!(work);
        loop {
            if self.has_news() && !over {
                return None;
            }
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = self.receive() => {}
            }
        }
    }

    /// Opens one line.
    pub(super) async fn open(&mut self, server: usize) -> Result<(), NoLine> {
        self.lines[server] = Some(self.opening(server).await?);
        Ok(())
    }

    fn opening(&mut self, server: usize) -> impl Future<Output = Result<Line, NoLine>> + use<T> {
        self.opened += 1;
        let hello = proto::Hello {
            replica: self.settings.replica.get(),
            connection: self.settings.process.saturating_add(self.opened),
            fingerprint: self.settings.fingerprint.clone().into(),
            ticket: self.ticket.map(Into::into),
        };
        let place = (server, self.opened);
        let ways = Ways {
            inbox: self.sender.clone(),
            landing: self.landing.clone(),
            signals: self.signals.clone(),
        };
        self.mirror.opened(server, self.opened);
        let reach = self.reach.clone();
        async move { Line::open(&reach, place, hello, ways).await }
    }
}
