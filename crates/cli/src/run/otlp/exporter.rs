//! The thread that follows a record and sends its spans.
//!
//! The record is the only queue: what it has dropped before the collector took it is lost, and so
//! is what was not taken in time. Either loss is reported once, and again after a success.

use std::thread::JoinHandle;
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::record::{Cursor, Record};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::attributes::resource;
use super::collector::Collector;
use super::steps::Steps;
use crate::args::CollectorUrl;
use crate::error::Error;

/// The time between two reads of the record: it keeps what a fast training does in several of
/// these.
const LOOK: Duration = Duration::from_millis(250);

/// In one process a replica reports a batch half a second later or at its next one, in a cluster
/// with its next message.
const LATE: u32 = 8;

/// The time limit for one read's spans; the end may wait for it twice, so for two seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Spans that are being sent; the last ones go when it is dropped.
#[derive(Debug)]
pub(crate) struct Otlp {
    thread: Option<JoinHandle<()>>,
    goes_on: Option<oneshot::Sender<()>>,
}

impl Otlp {
    /// Begins to send, if requested; whether a collector is there shows later.
    ///
    /// # Errors
    /// The system's errors.
    pub(crate) fn start(
        url: Option<&CollectorUrl>,
        record: &Record,
        run: RunId,
    ) -> Result<Option<Self>, Error> {
        let Some(url) = url else { return Ok(None) };
        let failed = |error| Error::failed(format!("--otlp {url}: nothing can be sent: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let in_runtime = runtime.enter();
        let follower = Follower {
            collector: Collector::new(url, resource(run)),
            url: url.to_string(),
            steps: Steps::new(run, LATE),
            record: record.clone(),
            cursor: Cursor::default(),
            loses: false,
        };
        drop(in_runtime);
        let (goes_on, end) = oneshot::channel();
        let thread = std::thread::Builder::new().name("otlp".to_owned());
        let thread = thread.spawn(move || follow(runtime, follower, end)).map_err(failed)?;
        Ok(Some(Self { thread: Some(thread), goes_on: Some(goes_on) }))
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        drop(self.goes_on.take());
        // Nothing in it panics.
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn follow(runtime: Runtime, mut follower: Follower, mut end: oneshot::Receiver<()>) {
    runtime.block_on(async {
        while timeout(LOOK, &mut end).await.is_err() {
            follower.look(false).await;
        }
        follower.look(true).await;
    });
    // Without waiting for the system to find an address.
    runtime.shutdown_background();
}

/// Reads a record, and sends its news.
struct Follower {
    collector: Collector,
    url: String,
    steps: Steps,
    record: Record,
    cursor: Cursor,
    /// Whether the latest spans were lost.
    loses: bool,
}

impl Follower {
    async fn look(&mut self, is_last: bool) {
        // Nothing has happened before.
        let Some(began) = self.record.began() else { return };
        let news = self.record.since(&mut self.cursor);
        let spans = self.steps.add(&news, began, is_last);
        let sent = match timeout(PATIENCE, self.collector.send(spans)).await {
            Ok(sent) => sent,
            Err(_) => Err(format!("it did not take them within {} s", PATIENCE.as_secs())),
        };
        let sent = match news.missed {
            0 => sent,
            missed => sent.and(Err(format!("{missed} came faster than they could be sent"))),
        };
        self.tell(sent);
    }

    fn tell(&mut self, sent: Result<(), String>) {
        let (before, url) = (self.loses, &self.url);
        self.loses = sent.is_err();
        if let Err(error) = sent.as_ref()
            && !before
        {
            tracing::warn!(url, error, "spans for the collector are lost; training goes on");
        }
    }
}
