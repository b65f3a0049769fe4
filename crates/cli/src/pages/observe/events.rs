//! The live page's news: server-sent events, the whole view in each.
//!
//! The view is made once for all viewers, at most every so often; without a viewer, nothing is
//! done.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame};
use sync_replicas::record::Cursor;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Evaluations, Observed, Recent, View};
use crate::lock::lock;

/// How often a view is sent.
const EVERY: Duration = Duration::from_millis(500);

/// The source, and how far it was read.
pub(super) struct Live {
    observed: Observed,
    seen: Mutex<Seen>,
}

struct Seen {
    cursor: Cursor,
    recent: Recent,
    tests: Option<Evaluations>,
    /// The newest event, and when it was made.
    event: Option<(Instant, Bytes)>,
}

impl Live {
    pub(super) fn of(observed: Observed) -> Arc<Self> {
        let tests = observed.folder.clone().map(Evaluations::of);
        let (cursor, recent) = (Cursor::default(), Recent::default());
        Arc::new(Self { observed, seen: Mutex::new(Seen { cursor, recent, tests, event: None }) })
    }

    /// The view as of now, as an event.
    fn event(&self) -> Bytes {
        let mut seen = lock(&self.seen);
        if let Some((made, event)) = &seen.event
            && made.elapsed() < EVERY / 2
        {
            return event.clone();
        }
        if let Some(record) = &self.observed.record {
            let news = record.since(&mut seen.cursor);
            seen.recent.take(news);
        }
        let mut view = match self.observed.status() {
            Some(status) => View::new(&status, &seen.recent),
            None if self.observed.record.is_some() => View::of_worker(),
            None => return Bytes::from_static(b": it does not serve yet\n\n"),
        };
        if let Some(tests) = &mut seen.tests {
            (view.measure, view.tests) = tests.look();
        }
        // Plain data with text for keys, which does not fail.
        let json = serde_json::to_string(&view).unwrap_or_default();
        let event = Bytes::from(format!("data: {json}\n\n"));
        seen.event = Some((Instant::now(), event.clone()));
        event
    }
}

/// Events until the viewer, which has a place, goes away.
pub(super) fn stream(live: Arc<Live>, place: OwnedSemaphorePermit) -> Events {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Events { live, every, _place: place }
}

/// A body without an end.
pub(super) struct Events {
    live: Arc<Live>,
    every: Interval,
    _place: OwnedSemaphorePermit,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.every.poll_tick(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Some(Ok(Frame::data(self.live.event())))),
        }
    }
}
