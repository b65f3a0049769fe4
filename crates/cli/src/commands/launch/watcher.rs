//! How far the training of a launched program is, as its parameter server 0 tells it: the
//! program's own chief may say nothing.
//!
//! Invariant: nothing in the training waits for it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use cluster::ServerStatus;

use crate::args::SecurityArgs;
use crate::commands::security;
use crate::error::Error;
use crate::system::output::say;

/// The time between two questions.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Reports, until it is dropped.
pub(super) struct Watcher {
    goes_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Asks the server at this address.
    pub(super) fn start(address: &str, security: &SecurityArgs) -> Result<Self, Error> {
        let connector = security::connector(address, security)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::failed)?;
        let (goes_on, end) = channel();
        let look = move || {
            let mut told = Told::default();
            while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let asked =
                    async { tokio::time::timeout(ANSWER, cluster::status(&connector, 0)).await };
                if let Ok(Ok(status)) = runtime.block_on(asked) {
                    told.tell(&status);
                }
            }
        };
        let thread = std::thread::Builder::new().name("watcher".to_owned()).spawn(look);
        Ok(Self { goes_on: Some(goes_on), thread: Some(thread.map_err(Error::failed)?) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.goes_on.take());
        // Nothing in it panics.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The last report.
#[derive(Default)]
struct Told {
    step: i64,
    failed_checkpoints: u64,
}

impl Told {
    fn tell(&mut self, status: &ServerStatus) {
        if status.global_step > self.step {
            self.step = status.global_step;
            say(words(status));
        }
        if status.failed_checkpoints > self.failed_checkpoints {
            self.failed_checkpoints = status.failed_checkpoints;
            let reason = status.checkpoint_error.as_deref().unwrap_or("it was tried again");
            say(format!("a checkpoint was not written, and training goes on: {reason}"));
        }
    }
}

/// One line.
fn words(status: &ServerStatus) -> String {
    let rate = status.updates_per_second.unwrap_or_default();
    let counts = status.coordinator.as_ref().map(|it| {
        let away = it.replicas.iter().filter(|it| it.state == "absent").count();
        let away = if away > 0 { format!(", {away} workers away") } else { String::new() };
        format!(", {} stale{away}", it.totals.stale)
    });
    format!("update {:>5}  {rate:.1} a second{}", status.global_step, counts.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_step_and_its_rate() {
        let status =
            ServerStatus { global_step: 12, updates_per_second: Some(3.25), ..Default::default() };
        assert_eq!(words(&status), "update    12  3.2 a second");
    }
}
