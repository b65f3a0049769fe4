//! `--trace FILE`, read as strictly as Chrome's trace format is described.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{folder, json, run, train};

/// A track: of which group, and which one of it.
type Track = (u64, u64);

/// Nanoseconds, as the file has them behind the point of microseconds.
type Times = (i64, i64);

struct Span {
    name: String,
    times: Times,
    args: Value,
}

/// A file of events that all have what the format asks for.
struct Trace {
    groups: BTreeMap<u64, String>,
    tracks: BTreeMap<Track, String>,
    spans: BTreeMap<Track, Vec<Span>>,
    /// Where each arrow begins and ends.
    arrows: Vec<((Track, i64), (Track, i64))>,
    losses: usize,
}

#[track_caller]
fn nanos(number: &Value) -> i64 {
    let micros = number.as_f64().expect("a time is a number");
    assert!(micros >= 0.0, "{number}");
    (micros * 1e3).round() as i64
}

impl Trace {
    #[track_caller]
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("it is written");
        let events: Vec<Value> = serde_json::from_str(&text).expect("one whole array");
        let (groups, tracks, spans) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut trace = Self { groups, tracks, spans, arrows: Vec::new(), losses: 0 };
        let mut begun = BTreeMap::new();
        let mut ended = BTreeMap::new();
        for event in &events {
            trace.take(event, &mut begun, &mut ended);
        }
        assert!(begun.keys().eq(ended.keys()), "each arrow has two ends");
        trace.arrows = begun.into_values().zip(ended.into_values()).collect();
        trace.check();
        trace
    }

    #[track_caller]
    fn take(
        &mut self,
        event: &Value,
        begun: &mut BTreeMap<u64, (Track, i64)>,
        ended: &mut BTreeMap<u64, (Track, i64)>,
    ) {
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("{key}: {event}"));
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key}: {event}"));
        let (track, at) = ((number("pid"), number("tid")), nanos(&event["ts"]));
        assert!(!text("name").is_empty() && !text("cat").is_empty(), "{event}");
        match text("ph") {
            "M" => {
                let name = event["args"]["name"].as_str().map(str::to_owned);
                match text("name") {
                    "process_name" => drop(self.groups.insert(track.0, name.expect("a name"))),
                    "thread_name" => drop(self.tracks.insert(track, name.expect("a name"))),
                    order => assert!(order.ends_with("_sort_index"), "{event}"),
                }
            }
            "X" => {
                let (name, args) = (text("name").to_owned(), event["args"].clone());
                let times = (at, at + nanos(&event["dur"]));
                self.spans.entry(track).or_default().push(Span { name, times, args });
            }
            "s" => assert!(begun.insert(number("id"), (track, at)).is_none(), "{event}"),
            "f" => {
                assert_eq!(text("bp"), "e", "it ends in the span that is there");
                assert!(ended.insert(number("id"), (track, at)).is_none(), "{event}");
            }
            "i" => assert!(["t", "g"].contains(&text("s")), "{event}"),
            "C" => {
                let values = event["args"].as_object().expect("is an object");
                assert!(values.values().all(Value::is_number), "{event}");
                self.losses += 1;
            }
            other => panic!("{other} is no phase of ours: {event}"),
        }
    }

    /// Spans of a track lie beside or in each other, and arrows lead from one to a later one.
    #[track_caller]
    fn check(&self) {
        for (track, spans) in &self.spans {
            assert!(self.tracks.contains_key(track) && self.groups.contains_key(&track.0));
            let mut times: Vec<Times> = spans.iter().map(|span| span.times).collect();
            // One that lies in another comes after it.
            times.sort_by_key(|(start, end)| (*start, -*end));
            let mut open: Vec<Times> = Vec::new();
            for (start, end) in times {
                while open.last().is_some_and(|it| it.1 <= start) {
                    open.pop();
                }
                assert!(open.last().is_none_or(|it| end <= it.1), "{track:?}: {start} overlaps");
                open.push((start, end));
            }
        }
        for ((from, begin), (to, end)) in &self.arrows {
            assert!(begin <= end, "an arrow leads back");
            assert!(self.at(*from, *begin).is_some() && self.at(*to, *end).is_some());
        }
    }

    /// What a track has at a moment.
    fn at(&self, track: Track, at: i64) -> Option<&Span> {
        let mut spans = self.spans.get(&track)?.iter();
        spans.rfind(|span| span.times.0 <= at && at < span.times.1.max(span.times.0 + 1))
    }

    /// Each update of this server, with how many arrows lead to it.
    #[track_caller]
    fn updates(&self, server: Track) -> BTreeMap<i64, usize> {
        let spans = self.spans.get(&server).expect("it has made updates").iter();
        let step = |span: &Span| span.args["step"].as_i64().expect("a step");
        let mut counts: BTreeMap<i64, usize> = spans.map(|span| (step(span), 0)).collect();
        for ((from, begin), (to, end)) in &self.arrows {
            let update = self.at(*to, *end).expect("checked before");
            let push = self.at(*from, *begin).expect("checked before");
            assert_eq!(push.args["step"].as_i64(), Some(step(update) - 1));
            assert!(["computed, accepted", "sent"].contains(&push.name.as_str()), "{}", push.name);
            assert!(update.times.1 >= push.times.1, "{}: before its push", update.name);
            *counts.get_mut(&step(update)).expect("is there") += 1;
        }
        counts
    }

    fn names(&self) -> BTreeSet<&str> {
        self.spans.values().flatten().map(|span| span.name.as_str()).collect()
    }

    fn count(&self, name: &str) -> usize {
        self.spans.values().flatten().filter(|span| span.name == name).count()
    }
}

const FIRST_SERVER: Track = (2, 0);

// P-7: what became of each batch can be seen, and what each update was made of.
#[test]
fn a_training_in_one_process_is_traced() {
    let folder = folder();
    let options = ["--updates", "200", "--straggler", "4=5", "--save-every", "50"];
    let files = ["--out", "run", "--trace", "run/trace.json"];
    let summary = train(folder.path(), &[&options[..], &files].concat());
    let trace = Trace::read(&folder.path().join("run/trace.json"));
    assert!(trace.groups.values().eq(["replicas", "updates", "checkpoints"]));
    let tracks: Vec<_> = trace.tracks.values().map(String::as_str).collect();
    let replicas = ["replica 0", "replica 1", "replica 2", "replica 3", "replica 4"];
    assert_eq!(tracks, [&replicas[..], &["chief", "checkpoints"]].concat());
    let updates = trace.updates(FIRST_SERVER);
    assert!(updates.keys().copied().eq(1..=200), "{updates:?}");
    assert!(updates.values().all(|arrows| *arrows == 4), "{updates:?}");
    assert_eq!(trace.losses, 200);
    let count = |key: &str| summary[key].as_u64().expect("is a count") as usize;
    let accepted = count("accepted") + count("unused");
    assert_eq!(trace.count("computed, accepted"), accepted);
    assert_eq!(trace.count("computed, too late"), count("stale"));
    assert_eq!(trace.count("given up"), count("superseded"));
    // Before the first update, after every fiftieth; the last of them is the end.
    assert_eq!(trace.count("checkpoint"), 5);
    assert!(trace.names().contains("waited for a token"), "{:?}", trace.names());
}

#[test]
fn a_cluster_is_traced_on_one_clock() {
    let folder = folder();
    let sizes = ["launch", "--ps", "2", "--workers", "3", "--backup", "1", "--updates", "60"];
    let files = ["--out", "a", "--trace", "t.json", "--json", "--quiet"];
    let said = run(folder.path(), &[&sizes[..], &files].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let trace = Trace::read(&folder.path().join("t.json"));
    let tracks: Vec<_> = trace.tracks.values().map(String::as_str).collect();
    let servers = ["parameter server 0", "parameter server 1"];
    let replicas = ["replica 0", "replica 1", "replica 2"];
    assert_eq!(tracks, [&replicas[..], &servers, &["checkpoints"]].concat());
    let updates = trace.updates(FIRST_SERVER);
    assert!(updates.keys().copied().eq(1..=60), "{updates:?}");
    assert!(updates.values().all(|arrows| *arrows == 2), "{updates:?}");
    assert_eq!(trace.spans[&(2, 1)].len(), 60);
    assert!(trace.names().contains("sent"), "{:?}", trace.names());
    assert!(json(&said.out)["updates"] == 60);
    let others = fs::read_dir(folder.path()).expect("is there").count();
    assert_eq!(others, 2, "one process writes one trace");
}

// An earlier trace stays beside the new one, as an older part of it would.
#[test]
fn a_run_that_goes_on_keeps_its_trace() {
    let folder = folder();
    let options = ["--straggler", "none", "--trace", "t.json"];
    train(folder.path(), &[&options[..], &["--updates", "20", "--out", "a"]].concat());
    let before = fs::read(folder.path().join("t.json")).expect("is written");
    train(folder.path(), &[&options[..], &["--updates", "30", "--resume", "a"]].concat());
    let after = Trace::read(&folder.path().join("t.json")).updates(FIRST_SERVER);
    assert!(after.keys().copied().eq(21..=30), "{after:?}");
    assert_eq!(fs::read(folder.path().join("t.1.json")).expect("is kept"), before);
}

#[test]
fn an_early_end_by_a_rule_closes_it() {
    let folder = folder();
    let options = ["--updates", "5000", "--eval-every", "10", "--stop-when", "test_accuracy>=0.5"];
    let files = ["--out", "a", "--trace", "t.json"];
    let summary = train(folder.path(), &[&options[..], &files].concat());
    let updates = Trace::read(&folder.path().join("t.json")).updates(FIRST_SERVER);
    assert_eq!(updates.keys().last().copied(), summary["updates"].as_i64());
}

#[cfg(unix)]
#[test]
fn an_interrupt_closes_it() {
    use std::io::Read;

    let folder = folder();
    let (child, mut err) =
        crate::signals::begun(folder.path(), &["--out", "a", "--trace", "t.json"]);
    crate::program::send("INT", child.id());
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    assert_eq!(child.wait_with_output().expect("ends").status.code(), Some(130), "{rest}");
    assert!(!Trace::read(&folder.path().join("t.json")).updates(FIRST_SERVER).is_empty());
}

// P-5: a later life begins a file of its own, and the earlier one can be read.
#[cfg(target_os = "linux")]
#[test]
fn a_server_that_is_killed_leaves_an_older_trace() {
    use std::io::Read;

    use crate::cluster::{begun, process_of};

    let folder = folder();
    let sizes = ["--ps", "1", "--workers", "3", "--backup", "1", "--updates", "300"];
    let files = ["--save-every", "20", "--trace", "t.json"];
    let (child, mut err) = begun(folder.path(), &[&sizes[..], &files].concat());
    let text = |name| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    while !text("t.json").contains("\"update 1\"") {
        std::thread::yield_now();
    }
    crate::program::send("KILL", process_of(folder.path(), "ps-0.log").expect("it runs"));
    let mut rest = String::new();
    err.read_to_string(&mut rest).expect("is text");
    assert!(child.wait_with_output().expect("ends").status.success(), "{rest}");
    let before: Vec<Value> = serde_json::from_str(&(text("t.1.json") + "]")).expect("is whole");
    assert!(before.iter().any(|event| event["name"] == "update 1"));
    let updates = Trace::read(&folder.path().join("t.json")).updates(FIRST_SERVER);
    assert_eq!(updates.keys().last().copied(), Some(300));
}

// P-4: nothing is begun, and what is there stays.
#[test]
fn a_file_that_cannot_be_a_trace_is_refused_before_anything_begins() {
    #[track_caller]
    fn check(command: &[&str], file: &str, expected: &str) {
        let folder = folder();
        fs::write(folder.path().join("rows.json"), "[1]\n").expect("is writable");
        let args = ["--updates", "3", "--out", "run", "--trace", file];
        let said = run(folder.path(), &[command, &args].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
        let names: Vec<_> = fs::read_dir(&folder).expect("is there").flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    for command in [&["train", "--quiet"][..], &["launch", "--workers", "2"]] {
        check(command, ".", "--trace: expected a file whose name ends with .json, got .");
        check(command, "no/such/t.json", "a file that can be written, in a folder that exists");
        check(command, "rows.json", "rows.json, which is something else and would be lost");
        // The run would write over it.
        check(command, "run/report.html", "expected a file whose name ends with .json");
        check(command, "run/model.json", "expected a name that no file of a run folder has");
    }
}
