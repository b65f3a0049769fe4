//! `--trace FILE`: what happened when, in Chrome's trace format, for Perfetto.
//!
//! Follows a training's record on its own thread. Invariants: a file is whole after each orderly
//! end, and readable after any other; what cannot be written ends no training.

mod event;
mod file;
mod tracks;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sync_replicas::record::{Cursor, Record};

use self::file::TraceFile;
pub(crate) use self::file::check;
use self::tracks::Tracks;
use crate::error::Error;

/// The time between two reads of the record: it keeps what a fast training does in several of
/// these.
const LOOK: Duration = Duration::from_millis(100);

/// As much as the page that draws it takes without trouble.
const LIMIT: u64 = 64_000_000;

/// Where a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process, whose chief makes the updates.
    Process,
    /// In a cluster, whose parameter servers make them.
    Cluster,
}

/// A trace under way; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Trace {
    thread: Option<JoinHandle<()>>,
    goes_on: Option<Sender<()>>,
}

impl Trace {
    /// Begins one, if requested.
    ///
    /// # Errors
    /// As [`check`], and the system's errors.
    pub(crate) fn start(
        path: Option<&Path>,
        record: &Record,
        place: Place,
    ) -> Result<Option<Self>, Error> {
        let Some(path) = path else { return Ok(None) };
        check(Some(path))?;
        let failed = |error| Error::usage(format!("--trace {}: {error}", path.display()));
        let mut follower = Follower {
            tracks: Tracks::new(TraceFile::open(path, LIMIT).map_err(failed)?, place),
            record: record.clone(),
            cursor: Cursor::default(),
            stuck: false,
        };
        let (goes_on, end) = channel();
        let thread = std::thread::Builder::new().name("trace".to_owned()).spawn(move || {
            while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                follower.follow();
            }
            follower.end();
        });
        Ok(Some(Self { thread: Some(thread.map_err(failed)?), goes_on: Some(goes_on) }))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        drop(self.goes_on.take());
        // Nothing in it panics.
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// Reads a record, and writes its trace for as long as that is possible.
struct Follower {
    tracks: Tracks,
    record: Record,
    cursor: Cursor,
    stuck: bool,
}

impl Follower {
    fn follow(&mut self) {
        if self.stuck {
            return;
        }
        let news = self.record.since(&mut self.cursor);
        if let Err(error) = self.tracks.add(&news) {
            self.stuck = true;
            tracing::error!(%error, "the trace cannot be written, and ends here; training goes on");
            // What it has can be read with its end or without.
            let _ = self.tracks.close();
        }
    }

    fn end(&mut self) {
        self.follow();
        if self.stuck {
            return;
        }
        if let Err(error) = self.tracks.close() {
            tracing::error!(%error, "the end of the trace cannot be written");
        }
    }
}

#[cfg(test)]
mod tests;
