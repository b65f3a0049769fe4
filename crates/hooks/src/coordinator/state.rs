//! What a coordinator knows, as plain data: no lock and no wait.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use crate::SharedError;
use crate::sync::Arc;

#[derive(Default)]
pub(super) struct State {
    /// The reason given by the first request for a stop.
    pub(super) reason: Option<String>,
    /// The first real error, or a recoverable one while there is no real one.
    pub(super) failure: Option<FirstError>,
    /// The threads of a lost session are ending.
    pub(super) recycling: bool,
    /// A join has returned.
    pub(super) joined: bool,
    /// Names of the registered threads that have not ended.
    pub(super) threads: BTreeMap<u64, String>,
    /// Handles of the threads started here.
    pub(super) handles: Vec<(u64, JoinHandle<()>)>,
    /// What to call at a stop.
    pub(super) callbacks: BTreeMap<u64, Arc<dyn Fn() + Send + Sync>>,
    ids: u64,
}

pub(super) struct FirstError {
    pub(super) error: SharedError,
    pub(super) recoverable: bool,
}

impl State {
    pub(super) fn should_stop(&self) -> bool {
        self.reason.is_some() || self.failure.is_some() || self.recycling
    }

    /// Whether the run is to end, which no new session mends.
    pub(super) fn ending(&self) -> bool {
        self.reason.is_some() || self.failed()
    }

    /// Whether the failure kept is one that no new session mends.
    pub(super) fn failed(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| !failure.recoverable)
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}
