//! Turns a record's news into events: a track for each replica and each server, and arrows from
//! pushes to updates.
//!
//! Invariants: the spans of a track follow each other, except that a lookup lies in its batch, and
//! no arrow leads back in time or out of its file.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use sync_replicas::record::{
    FailedSave, Failure, News, Record, Saved, Span, SpanKind, UpdateMade, UpdateSpan,
};

use super::Place;
use super::event::{Args, Event, Track};
use super::file::TraceFile;

const REPLICAS: u64 = 1;
const SERVERS: u64 = 2;
const CHECKPOINTS: Track = Track { pid: 3, tid: 0 };
/// The track of the update that all servers' parts belong to.
const FIRST_SERVER: Track = Track { pid: SERVERS, tid: 0 };

/// No arrow takes more bytes.
const ARROW: usize = 512;

type Times = (Duration, Duration);

/// Writes what happened as events.
pub(super) struct Tracks {
    pub(super) file: TraceFile,
    place: Place,
    lanes: BTreeMap<Track, Lane>,
    /// Accepted gradients, by their update, until that is known.
    pushes: BTreeMap<i64, Vec<(Track, Times)>>,
    /// The latest updates: the spans of pushes may come after that of their update.
    updates: BTreeMap<i64, Times>,
    arrows: u64,
    /// How many files were full; arrows do not cross between files.
    turns: u64,
}

/// The progress of a track.
#[derive(Default)]
struct Lane {
    /// No span on it begins before this.
    free: Duration,
    /// The latest batch.
    batch: Times,
}

/// An accepted gradient, whose span may still be followed by that of its sending.
struct Push {
    update: i64,
    times: Times,
    turns: u64,
}

impl Tracks {
    pub(super) fn new(file: TraceFile, place: Place) -> Self {
        let (lanes, pushes, updates) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut tracks = Self { file, place, lanes, pushes, updates, arrows: 0, turns: 0 };
        tracks.begin();
        tracks
    }

    /// Adds what has happened, and hands it to the system.
    pub(super) fn add(&mut self, news: &News) -> io::Result<()> {
        if news.missed > 0 {
            let (at, args) = (self.latest(), Args::Missed { events: news.missed });
            self.write(&[Event::everywhere("events are missing", FIRST_SERVER, at, args)])?;
        }
        news.update_spans.iter().try_for_each(|span| self.add_update(span))?;
        news.updates.iter().try_for_each(|made| self.add_loss(made))?;
        self.add_spans(&news.spans)?;
        news.saves.iter().try_for_each(|saved| self.add_saved(saved))?;
        news.failed_saves.iter().try_for_each(|failed| self.add_failed_save(failed))?;
        news.failures.iter().try_for_each(|failure| self.add_failure(failure))?;
        self.draw_arrows()?;
        self.file.flush()
    }

    pub(super) fn close(&mut self) -> io::Result<()> {
        self.file.close()
    }

    fn add_update(&mut self, span: &UpdateSpan) -> io::Result<()> {
        let track = Track { pid: SERVERS, tid: span.server };
        let Some(times) = self.fit(track, (span.start, span.end))? else { return Ok(()) };
        let name = ("update", format!("update {}", span.step));
        self.write(&[Event::span(name, track, times, Args::Step { step: span.step })])?;
        if track == FIRST_SERVER {
            if self.updates.keys().next_back().is_some_and(|last| span.step <= *last) {
                // A restore has taken back what was made after it, and what was pushed for more.
                drop(self.updates.split_off(&span.step));
                drop(self.pushes.split_off(&span.step.saturating_add(1)));
            }
            self.updates.insert(span.step, times);
            if self.updates.len() > Record::MOST {
                self.updates.pop_first();
            }
        }
        Ok(())
    }

    fn add_loss(&mut self, made: &UpdateMade) -> io::Result<()> {
        let Some(loss) = made.loss.filter(|loss| loss.is_finite()) else { return Ok(()) };
        self.write(&[Event::count("loss", FIRST_SERVER, made.at, Args::Loss { loss })])
    }

    fn add_spans(&mut self, spans: &[Span]) -> io::Result<()> {
        let mut open: BTreeMap<Track, Push> = BTreeMap::new();
        for span in spans {
            let track = Track { pid: REPLICAS, tid: span.replica.get() };
            let Some(times) = self.fit_span(track, span)? else { continue };
            let name = (category(span.kind), name(span.kind));
            self.write(&[Event::span(name, track, times, Args::of(span))])?;
            let pushed = match span.kind {
                SpanKind::Accepted => Some(span.step.saturating_add(1)),
                // Its gradient has arrived when all of it was sent.
                SpanKind::Sent => open.remove(&track).map(|push| push.update),
                SpanKind::LookedUp => continue,
                _ => None,
            };
            let push = pushed.map(|update| Push { update, times, turns: self.turns });
            let before = match push {
                Some(push) => open.insert(track, push),
                None => open.remove(&track),
            };
            self.keep(track, before);
        }
        open.into_iter().for_each(|(track, push)| self.keep(track, Some(push)));
        Ok(())
    }

    fn keep(&mut self, track: Track, push: Option<Push>) {
        let Some(push) = push.filter(|push| push.turns == self.turns) else { return };
        self.pushes.entry(push.update).or_default().push((track, push.times));
        if self.pushes.len() > Record::MOST {
            self.pushes.pop_first();
        }
    }

    /// The arrows with both ends known.
    fn draw_arrows(&mut self) -> io::Result<()> {
        for (update, pushes) in std::mem::take(&mut self.pushes) {
            let Some(&times) = self.updates.get(&update) else {
                self.pushes.insert(update, pushes);
                continue;
            };
            for (track, push) in pushes {
                let Some((from, to)) = ends(push, times) else {
                    // An update of before a restore; that of this push is still to come.
                    self.pushes.entry(update).or_default().push((track, push));
                    continue;
                };
                if !self.file.has_room(ARROW) {
                    // The next file has neither of its ends.
                    return Ok(());
                }
                self.arrows += 1;
                let (from, to) = ((track, from), (FIRST_SERVER, to));
                self.write(&Event::arrow("counted", self.arrows, from, to))?;
            }
        }
        Ok(())
    }

    fn add_saved(&mut self, saved: &Saved) -> io::Result<()> {
        let times = (saved.at.saturating_sub(saved.took), saved.at);
        let Some(times) = self.fit(CHECKPOINTS, times)? else { return Ok(()) };
        let args = Args::Saved { step: saved.step, bytes: saved.bytes };
        self.write(&[Event::span(("checkpoint", "checkpoint"), CHECKPOINTS, times, args)])
    }

    fn add_failed_save(&mut self, failed: &FailedSave) -> io::Result<()> {
        let at = self.updates.get(&failed.step).map(|times| times.1);
        let at = at.unwrap_or_else(|| self.latest());
        self.lane(CHECKPOINTS)?;
        let args = Args::Reason { reason: &failed.reason };
        self.write(&[Event::instant("checkpoint not written", CHECKPOINTS, at, args)])
    }

    /// When it was last heard of: a record does not say when it failed.
    fn add_failure(&mut self, failure: &Failure) -> io::Result<()> {
        let track = Track { pid: REPLICAS, tid: failure.replica.get() };
        let (at, args) = (self.lane(track)?.free, Args::Reason { reason: &failure.reason });
        self.write(&[Event::instant("replica failed", track, at, args)])
    }

    /// The latest known time.
    fn latest(&self) -> Duration {
        self.lanes.values().map(|lane| lane.free).max().unwrap_or_default()
    }

    fn fit_span(&mut self, track: Track, span: &Span) -> io::Result<Option<Times>> {
        let times = (span.start, span.end);
        if span.kind == SpanKind::LookedUp {
            let (start, end) = self.lane(track)?.batch;
            let times = (times.0.clamp(start, end), times.1.clamp(start, end));
            return Ok(Some(times).filter(|(start, end)| start < end));
        }
        let times = self.fit(track, times)?;
        if let Some(times) = times.filter(|_| span.kind.is_batch()) {
            self.lane(track)?.batch = times;
        }
        Ok(times)
    }

    /// A span of a track, as far as no earlier one covers that time: in a cluster a replica reports
    /// its times as lengths, and rounding must not make them overlap.
    fn fit(&mut self, track: Track, (start, end): Times) -> io::Result<Option<Times>> {
        let lane = self.lane(track)?;
        let start = start.max(lane.free);
        if start > end {
            return Ok(None);
        }
        lane.free = end;
        Ok(Some((start, end)))
    }

    /// A track, named from its first event on.
    fn lane(&mut self, track: Track) -> io::Result<&mut Lane> {
        if !self.lanes.contains_key(&track) {
            self.write(&about(track, self.place))?;
        }
        Ok(self.lanes.entry(track).or_default())
    }

    /// Adds events that belong together, to the next file if this one is full.
    fn write(&mut self, events: &[Event<'_>]) -> io::Result<()> {
        let events = json(events)?;
        // And the commas.
        let bytes = events.iter().map(|event| event.len() + 2).sum();
        if !self.file.has_room(bytes) {
            self.file.turn()?;
            self.turns += 1;
            self.pushes.clear();
            self.updates.clear();
            self.begin();
        }
        self.file.add(events.iter().map(Vec::as_slice));
        Ok(())
    }

    /// What each file begins with.
    fn begin(&mut self) {
        let servers = match self.place {
            Place::Process => "updates",
            Place::Cluster => "parameter servers",
        };
        let groups = [(REPLICAS, "replicas"), (SERVERS, servers), (CHECKPOINTS.pid, "checkpoints")];
        let groups = groups.iter().flat_map(|(pid, name)| {
            let track = Track { pid: *pid, tid: 0 };
            let place = Args::Place { sort_index: *pid };
            let name = Args::Name { name: (*name).into() };
            [
                Event::about("process_name", track, name),
                Event::about("process_sort_index", track, place),
            ]
        });
        let tracks = self.lanes.keys().flat_map(|track| about(*track, self.place));
        let events: Vec<_> = groups.chain(tracks).collect();
        // What is plain data can be written to memory.
        if let Ok(events) = json(&events) {
            self.file.add(events.iter().map(Vec::as_slice));
        }
    }
}

/// The name and place of a track.
fn about(track: Track, place: Place) -> [Event<'static>; 2] {
    let name = match (track.pid, place) {
        (REPLICAS, _) => format!("replica {}", track.tid).into(),
        (SERVERS, Place::Process) => "chief".into(),
        (SERVERS, Place::Cluster) => format!("parameter server {}", track.tid).into(),
        _ => "checkpoints".into(),
    };
    [
        Event::about("thread_name", track, Args::Name { name }),
        Event::about("thread_sort_index", track, Args::Place { sort_index: track.tid }),
    ]
}

fn json(events: &[Event<'_>]) -> io::Result<Vec<Vec<u8>>> {
    Ok(events.iter().map(serde_json::to_vec).collect::<Result<_, _>>()?)
}

/// Where an arrow begins, at the end of a push, and where it ends in its update; both inside, since
/// a span has already ended where it ends.
fn ends(push: Times, update: Times) -> Option<Times> {
    let inside = |(start, end): Times| start.max(end.saturating_sub(Duration::from_nanos(1)));
    let last = inside(update);
    let from = inside(push).min(last);
    (from >= push.0).then_some((from, update.0.max(from)))
}

fn name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Accepted => "computed, accepted",
        SpanKind::Stale => "computed, too late",
        SpanKind::Duplicate => "computed, another was first",
        SpanKind::NotFinite => "computed, not finite",
        SpanKind::Superseded => "given up",
        SpanKind::Sent => "sent",
        SpanKind::LookedUp => "looked rows up",
        _ => "waited for a token",
    }
}

fn category(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Sent => "sent",
        SpanKind::LookedUp => "lookup",
        kind if kind.is_batch() => "batch",
        _ => "wait",
    }
}
