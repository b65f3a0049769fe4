//! One event in Chrome's trace format: a span, an instant, a count, an end of an arrow, or a name.
//!
//! Times are microseconds, with the nanoseconds after the point.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use sync_replicas::record::{Span, SpanKind};

/// The category of names, which marks our traces.
pub(super) const OURS: &str = "sync-replicas";

/// A line on the reader's screen: which group it is in, and which one of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track {
    pub(super) pid: u64,
    pub(super) tid: u64,
}

/// One event; absent fields are not written.
#[derive(Debug, Serialize)]
pub(super) struct Event<'a> {
    name: Cow<'a, str>,
    cat: &'static str,
    ph: &'static str,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: u64,
    tid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// An arrow ends at the span that it ends in, and not at the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    /// How far an instant reaches: over its track, or over all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Args<'a>>,
}

/// Details for a reader who clicks on an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Args<'a> {
    Name {
        name: Cow<'a, str>,
    },
    Place {
        sort_index: u64,
    },
    Batch {
        step: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        batch: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<SpanKind>,
        bytes: u64,
        staleness: u64,
    },
    Step {
        step: i64,
    },
    Saved {
        step: i64,
        bytes: u64,
    },
    Reason {
        reason: &'a str,
    },
    Loss {
        loss: f64,
    },
    Missed {
        events: u64,
    },
}

impl<'a> Event<'a> {
    fn new(
        ph: &'static str,
        (cat, name): (&'static str, impl Into<Cow<'a, str>>),
        track: Track,
        at: Duration,
    ) -> Self {
        let (Track { pid, tid }, name) = (track, name.into());
        let (dur, id, bp, s, args) = (None, None, None, None, None);
        Self { name, cat, ph, ts: micros(at), dur, pid, tid, id, bp, s, args }
    }

    /// The name of a group or a track, or its place.
    pub(super) fn about(what: &'static str, track: Track, args: Args<'a>) -> Self {
        Self { args: Some(args), ..Self::new("M", (OURS, what), track, Duration::ZERO) }
    }

    pub(super) fn span(
        name: (&'static str, impl Into<Cow<'a, str>>),
        track: Track,
        (start, end): (Duration, Duration),
        args: Args<'a>,
    ) -> Self {
        let dur = Some(micros(end.saturating_sub(start)));
        Self { dur, args: Some(args), ..Self::new("X", name, track, start) }
    }

    /// Of one track.
    pub(super) fn instant(name: &'a str, track: Track, at: Duration, args: Args<'a>) -> Self {
        Self { s: Some("t"), args: Some(args), ..Self::new("i", ("news", name), track, at) }
    }

    /// Of all tracks.
    pub(super) fn everywhere(name: &'a str, track: Track, at: Duration, args: Args<'a>) -> Self {
        Self { s: Some("g"), ..Self::instant(name, track, at, args) }
    }

    pub(super) fn count(name: &'a str, track: Track, at: Duration, args: Args<'a>) -> Self {
        Self { args: Some(args), ..Self::new("C", ("counts", name), track, at) }
    }

    /// An arrow from one moment of a track to a later one of another.
    pub(super) fn arrow(
        name: &'static str,
        number: u64,
        from: (Track, Duration),
        to: (Track, Duration),
    ) -> [Self; 2] {
        let end =
            |ph, (track, at)| Self { id: Some(number), ..Self::new(ph, (name, name), track, at) };
        [end("s", from), Self { bp: Some("e"), ..end("f", to) }]
    }
}

impl Args<'_> {
    pub(super) fn of(span: &Span) -> Self {
        let &Span { step, batch, kind, bytes, staleness, .. } = span;
        let outcome = kind.is_batch().then_some(kind);
        Self::Batch { step, batch, outcome, bytes, staleness }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
