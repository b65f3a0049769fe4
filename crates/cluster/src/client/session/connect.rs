//! The session's lines: opened, opened again, and for how long that is tried.
//!
//! What was under way over a line that broke is asked again over the next, with the same numbers.

use sync_replicas::Scalar;
use tokio::time::Instant;

use super::{Pushing, Session, WaitError};
use crate::client::line::{Line, NoLine, Ways, pause};
use crate::proto;

impl<T: Scalar + bytemuck::Pod> Session<T> {
    /// Opens the lines that are missing, the coordinator's first. Until all are there and the
    /// coordinator has welcomed the replica, its patience runs.
    pub(super) async fn connect(&mut self) -> Result<(), WaitError> {
        let mut attempt = 0;
        while let Some(server) = self.lines.iter().position(Option::is_none) {
            if let Some(reason) = self.refused.take() {
                return Err(WaitError::Refused { reason });
            }
            let down = self.down.get_or_insert_with(Instant::now);
            let spent = down.elapsed();
            if let Some(retry) = self.retry.take() {
                tokio::time::sleep_until(retry).await;
            }
            match self.open(server).await {
                Ok(()) => {}
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
                    tracing::debug!(server, reason, "no connection yet");
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
            }
        }
        if self.ticket.is_some() {
            self.down = None;
        }
        Ok(())
    }

    pub(super) async fn open(&mut self, server: usize) -> Result<(), NoLine> {
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
        let line = Line::open(&self.reach, place, hello, ways).await?;
        self.lines[server] = Some(line);
        if server > 0 {
            self.ask_again(server);
        }
        Ok(())
    }

    /// What was under way over a line that broke is asked again.
    fn ask_again(&mut self, server: usize) {
        // Once committed it was staged everywhere.
        let due =
            |pushing: &Pushing| !pushing.committed && (!self.in_turn || pushing.staged[server - 1]);
        if self.pushing.as_ref().is_some_and(due) {
            self.send_contribution(server);
        }
    }
}
