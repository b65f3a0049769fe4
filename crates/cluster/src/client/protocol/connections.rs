//! Which servers are connected, which to try next and when, and for how long.

use std::time::Duration;

use super::{ConnectError, ConnectionId, WaitError};

/// A shorter absence of servers is not worth a warning.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Connections {
    addresses: Vec<String>,
    /// How long servers may be out of reach.
    timeout: Duration,
    states: Vec<State>,
    /// How many connections were tried.
    tried: u64,
    /// How many attempts have failed in a row.
    failures: u32,
    /// Since when the cluster has been out of reach.
    down: Option<Duration>,
    /// Whether a warning has reported that.
    warned: bool,
    /// No attempt before this time.
    not_before: Option<Duration>,
    /// The error that rules out further attempts.
    error: Option<WaitError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Attempted, after the cluster had been out of reach for so long.
    Opening(u64, Duration),
    Open(u64),
}

/// How far connecting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All servers are connected.
    Complete,
    /// Try this server.
    Try(usize),
    /// An attempt is under way, or none may be made before this time.
    Wait(Option<Duration>),
}

impl Connections {
    pub(super) fn new(addresses: Vec<String>, timeout: Duration) -> Self {
        Self {
            states: vec![State::Closed; addresses.len()],
            addresses,
            timeout,
            tried: 0,
            failures: 0,
            down: None,
            warned: false,
            not_before: None,
            error: None,
        }
    }

    pub(super) fn servers(&self) -> usize {
        self.states.len()
    }

    /// The number of the connection to a server, once it is open.
    pub(super) fn open(&self, server: usize) -> Option<u64> {
        match self.states.get(server) {
            Some(&State::Open(number)) => Some(number),
            _ => None,
        }
    }

    /// The number of the connection to a server, also while it is being opened.
    pub(super) fn number(&self, server: usize) -> Option<u64> {
        match self.states.get(server) {
            Some(&(State::Open(number) | State::Opening(number, _))) => Some(number),
            _ => None,
        }
    }

    pub(super) fn are_open(&self) -> bool {
        (0..self.servers()).all(|server| self.open(server).is_some())
    }

    /// What to do for the servers that are not connected, one at a time, the coordinator's first:
    /// the others refuse a replica that has not joined there.
    pub(super) fn progress(&mut self, joined: bool, now: Duration) -> Result<Progress, WaitError> {
        let Some(server) = self.states.iter().position(|it| !matches!(it, State::Open(_))) else {
            self.failures = 0;
            return Ok(Progress::Complete);
        };
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.down.get_or_insert(now);
        if self.states.iter().any(|it| matches!(it, State::Opening(..))) {
            return Ok(Progress::Wait(None));
        }
        match self.not_before.filter(|at| *at > now) {
            Some(at) => Ok(Progress::Wait(Some(at))),
            None if server > 0 && !joined => Ok(Progress::Wait(None)),
            None => Ok(Progress::Try(server)),
        }
    }

    /// The number of a new connection to a server.
    pub(super) fn begin(&mut self, server: usize, now: Duration) -> ConnectionId {
        self.tried += 1;
        self.not_before = None;
        let spent = self.down.map_or(Duration::ZERO, |down| now.saturating_sub(down));
        self.states[server] = State::Opening(self.tried, spent);
        ConnectionId { server, number: self.tried }
    }

    pub(super) fn connected(&mut self, id: ConnectionId) {
        if self.number(id.server) == Some(id.number) {
            self.states[id.server] = State::Open(id.number);
        }
    }

    /// An attempt has failed. After the timeout, or if another would also fail, that is an error.
    pub(super) fn failed(&mut self, id: ConnectionId, error: ConnectError, now: Duration) {
        let Some(&State::Opening(number, spent)) = self.states.get(id.server) else { return };
        if number != id.number {
            return;
        }
        self.close(id.server);
        match error {
            ConnectError::Permanent(reason) => self.refuse(reason),
            ConnectError::Replaced(reason) => self.error = Some(WaitError::Replaced { reason }),
            ConnectError::Later(reason) if spent >= self.timeout => {
                let seconds = spent.as_secs_f64();
                self.error = Some(WaitError::NotLetIn { seconds, reason });
            }
            ConnectError::Retry(reason) if spent >= self.timeout => {
                self.error = Some(WaitError::Unreachable {
                    server: id.server,
                    address: self.addresses[id.server].clone(),
                    seconds: spent.as_secs_f64(),
                    reason,
                });
            }
            ConnectError::Retry(reason) | ConnectError::Later(reason) => {
                self.log(id.server, spent, &reason);
                self.pause(now + backoff(self.failures));
                self.failures += 1;
            }
        }
    }

    /// Reports a server out of reach, as a warning once that lasts longer than a start takes.
    fn log(&mut self, server: usize, spent: Duration, reason: &str) {
        if spent < QUIET || self.warned {
            tracing::debug!(server, reason, "no connection yet");
            return;
        }
        self.warned = true;
        let (address, left) = (&self.addresses[server], self.timeout.saturating_sub(spent));
        tracing::warn!(
            "ps {server} at {address} is out of reach, and is tried for {:.0} s more: {reason}",
            left.as_secs_f64()
        );
    }

    /// No attempt before this time.
    pub(super) fn pause(&mut self, until: Duration) {
        self.not_before = self.not_before.max(Some(until));
    }

    /// The cluster does not take this replica.
    pub(super) fn refuse(&mut self, reason: String) {
        self.error = Some(WaitError::Refused { reason });
    }

    /// The cluster is in reach.
    pub(super) fn settle(&mut self) {
        (self.down, self.warned) = (None, false);
    }

    pub(super) fn close(&mut self, server: usize) {
        self.states[server] = State::Closed;
    }
}

/// How long a failed attempt waits before the next: doubled each time, up to two seconds.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(50 << failures.min(5)).min(Duration::from_secs(2))
}
