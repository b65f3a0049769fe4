//! Tracks and files of a trace, event by event.

use std::fs;

use serde_json::Value;
use sync_replicas::ReplicaId;
use sync_replicas::record::{Failure, News, Saved, Span, SpanKind, UpdateMade, UpdateSpan};

use super::*;

/// One step of two replicas, a hundred microseconds long: both push, and the update follows.
fn step(number: i64) -> News {
    step_at(number, 100 * number.unsigned_abs())
}

/// A step that begins after so many microseconds.
fn step_at(number: i64, start: u64) -> News {
    let at = |micros: u64| Duration::from_micros(start + micros);
    let span = |replica, kind, start, end| {
        let span = Span::new(ReplicaId::new(replica), number, kind, (at(start), at(end)));
        Span { batch: Some(2 * number.unsigned_abs() + replica), ..span }
    };
    let step = number + 1;
    News {
        spans: vec![
            span(0, SpanKind::Waited, 0, 5),
            span(0, SpanKind::Accepted, 5, 60),
            span(0, SpanKind::Sent, 60, 70),
            span(1, SpanKind::Waited, 0, 10),
            span(1, SpanKind::Accepted, 10, 80),
            span(1, SpanKind::LookedUp, 10, 20),
        ],
        update_spans: vec![UpdateSpan { server: 0, step, start: at(80), end: at(95) }],
        updates: vec![UpdateMade { step, loss: Some(0.5), examples: 64, at: at(95) }],
        ..News::default()
    }
}

/// The events of a file, which is one whole array.
#[track_caller]
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read(path).expect("it is there");
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn of<'a>(events: &'a [Value], ph: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["ph"] == *ph).collect()
}

fn tracks(path: &Path, limit: u64, place: Place) -> Tracks {
    Tracks::new(TraceFile::open(path, limit).expect("is writable"), place)
}

// P-7: what became of each batch can be seen.
#[test]
fn a_step_is_spans_and_arrows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut tracks = tracks(&path, LIMIT, Place::Cluster);
    tracks.add(&step(3)).expect("is writable");
    // As a killed process leaves it: readers add the end.
    let open = fs::read_to_string(&path).expect("is there") + "]";
    let open: Vec<Value> = serde_json::from_str(&open).expect("all events are whole");
    tracks.close().expect("is writable");
    let events = events(&path);
    assert_eq!(events, open);
    let spans = of(&events, "X");
    let names: Vec<_> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
    let expected = [
        "update 4",
        "waited for a token",
        "computed, accepted",
        "sent",
        "waited for a token",
        "computed, accepted",
        "looked rows up",
    ];
    assert_eq!(names, expected);
    assert_eq!((&spans[2]["ts"], &spans[2]["dur"]), (&305.0.into(), &55.0.into()));
    let expected =
        serde_json::json!({"step":3,"batch":6,"outcome":"accepted","bytes":0,"staleness":0});
    assert_eq!(spans[2]["args"], expected);
    // From the end of what was sent, or of the batch where nothing was.
    let ends = |ph| -> Vec<_> { of(&events, ph).iter().map(|it| it["ts"].as_f64()).collect() };
    assert_eq!(ends("s"), [Some(369.999), Some(379.999)]);
    assert_eq!(ends("f"), [Some(380.0), Some(380.0)]);
}

#[test]
fn a_full_file_is_followed_by_the_next_and_each_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let (limit, steps) = (8_000, 40);
    let mut tracks = tracks(&path, limit, Place::Process);
    (0..steps).for_each(|it| tracks.add(&step(it)).expect("is writable"));
    tracks.close().expect("is writable");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("it is there")
        .map(|it| it.expect("it is there").file_name().into_string().expect("is text"))
        .collect();
    names.sort();
    assert_eq!(names, ["trace.1.json", "trace.2.json", "trace.json"]);
    let (mut newest, mut arrows) = (f64::INFINITY, 0);
    for name in ["trace.json", "trace.1.json", "trace.2.json"] {
        let path = folder.path().join(name);
        assert!(fs::metadata(&path).expect("it is there").len() <= limit, "{name}");
        let events = events(&path);
        let named = of(&events, "M").iter().filter(|it| it["name"] == "thread_name").count();
        assert_eq!(named, 3, "{name}: two replicas and the chief");
        let times = |event: &&Value| event["ts"].as_f64().expect("a time");
        // The last step in it; one that has just begun may have no span yet.
        let last = of(&events, "X").iter().map(times).fold(0.0, f64::max).div_euclid(100.0);
        assert!(last <= newest, "{name} is older than the one before");
        newest = if last > 0.0 { last } else { newest };
        let (from, to) = (of(&events, "s"), of(&events, "f"));
        assert_eq!(from.len(), to.len(), "{name}");
        arrows += from.len();
        for end in from.iter().chain(&to) {
            let holds = |span: &&Value| {
                let (start, length) = (times(span), span["dur"].as_f64().expect("a length"));
                let same = (&span["pid"], &span["tid"]) == (&end["pid"], &end["tid"]);
                same && start <= times(end) && times(end) < start + length
            };
            assert!(of(&events, "X").iter().any(holds), "{name}: {end} is at no span");
        }
    }
    assert!(arrows > 0);
}

#[test]
fn a_trace_is_whole_as_soon_as_it_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let record = Record::new();
    let trace = Trace::start(Some(&path), &record, Place::Process).expect("is writable");
    (0..1000).for_each(|number| record.add_news(step(number)));
    drop(trace);
    assert_eq!(of(&events(&path), "C").len(), 1000);
}

// P-9: what was pushed before a restore counts for no update that is made anew.
#[test]
fn no_arrow_leads_from_before_a_restore() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut tracks = tracks(&path, LIMIT, Place::Cluster);
    let unmade = News { update_spans: Vec::new(), ..step(2) };
    let anew = [step_at(1, 1000), step_at(2, 1100)];
    for news in [step(0), step(1), unmade].iter().chain(&anew) {
        tracks.add(news).expect("is writable");
    }
    tracks.close().expect("is writable");
    let events = events(&path);
    let begins: Vec<_> = of(&events, "s").iter().map(|it| it["ts"].as_f64()).collect();
    let pushes = [0.0, 100.0, 1000.0, 1100.0].map(|start| [start + 69.999, start + 79.999]);
    assert_eq!(begins, pushes.concat().into_iter().map(Some).collect::<Vec<_>>());
}

// In a cluster lengths are told, and rounding must not have spans overlap.
#[test]
fn what_would_overlap_is_cut_and_what_is_no_time_at_all_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut tracks = tracks(&path, LIMIT, Place::Cluster);
    let span = |kind, start, end| {
        let times = (Duration::from_nanos(start), Duration::from_nanos(end));
        Span::new(ReplicaId::new(0), 0, kind, times)
    };
    let spans = vec![
        span(SpanKind::Stale, 1_000, 2_001),
        span(SpanKind::Waited, 0, 1_500),
        span(SpanKind::Accepted, 1_999, 3_000),
        span(SpanKind::LookedUp, 1_999, 9_000),
    ];
    tracks.add(&News { spans, ..News::default() }).expect("is writable");
    tracks.close().expect("is writable");
    let events = events(&path);
    let number = |event: &Value, key: &str| event[key].as_f64().expect("a number");
    let spans: Vec<_> =
        of(&events, "X").iter().map(|it| (number(it, "ts"), number(it, "dur"))).collect();
    assert_eq!(spans, [(1.0, 1.001), (2.001, 0.999), (2.001, 0.999)]);
}

#[test]
fn checkpoints_failures_and_gaps_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut tracks = tracks(&path, LIMIT, Place::Process);
    tracks.add(&step(0)).expect("is writable");
    let (at, took) = (Duration::from_micros(200), Duration::from_micros(150));
    let (replica, reason) = (ReplicaId::new(1), "no \"rows\" left".to_owned());
    let news = News {
        saves: vec![Saved { step: 1, at, took, bytes: 7 }],
        failures: vec![Failure { replica, reason: reason.clone() }],
        missed: 5,
        ..News::default()
    };
    tracks.add(&news).expect("is writable");
    tracks.close().expect("is writable");
    let events = events(&path);
    let saved = events.iter().find(|event| event["name"] == "checkpoint").expect("it is told");
    assert_eq!((&saved["ts"], &saved["dur"]), (&50.0.into(), &150.0.into()));
    let news: Vec<_> = of(&events, "i").iter().map(|it| (&it["name"], &it["args"])).collect();
    let args = [serde_json::json!({"events":5}), serde_json::json!({ "reason": reason })];
    let expected = [(&"events are missing".into(), &args[0]), (&"replica failed".into(), &args[1])];
    assert_eq!(news, expected);
}

// A file that is not our trace stays.
#[test]
fn a_trace_is_not_written_over_anything_else() {
    #[track_caller]
    fn check(there: &[(&str, &str)], file: &str, expected: Option<&str>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in there {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("is writable");
            fs::write(path, text).expect("is writable");
        }
        let checked = super::check(Some(&folder.path().join(file)));
        let got = checked.err().map(|error| error.to_string());
        let both = got.as_deref().zip(expected);
        assert!(both.is_some_and(|(got, words)| got.contains(words)) || got.as_deref() == expected);
        assert_eq!(fs::read_dir(&folder).expect("is there").count(), there.len());
        for (name, text) in there {
            assert_eq!(fs::read_to_string(folder.path().join(name)).expect("is there"), *text);
        }
    }
    let ours = "[\n{\"name\":\"process_name\",\"cat\":\"sync-replicas\",\"ph\"";
    check(&[], "t.json", None);
    check(&[("t.json", ours), ("t.1.json", ""), ("t.2.json", "[\n]\n")], "t.json", None);
    check(&[("rows.json", "[1]\n")], "rows.json", Some("rows.json, which is something else"));
    check(&[("t.1.json", "{}")], "t.json", Some("t.1.json, which is something else"));
    check(&[("t.json/x", "")], "t.json", Some("which is a folder"));
    check(&[], "report.html", Some("a file whose name ends with .json"));
    check(&[], "metrics.jsonl", Some("a file whose name ends with .json"));
    for own in ["run.json", "Model.JSON", "best.json", "launch.json"] {
        check(&[], own, Some("a name that no file of a run folder has"));
    }
    check(&[], "no/t.json", Some("expected a file that can be written, in a folder that exists"));
}

// Two trainings that begin at the same moment have both found it free.
#[test]
fn a_file_has_one_writer_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name| folder.path().join(name);
    #[track_caller]
    fn check_held(path: &Path) {
        let words = "another training writes its trace there now";
        let opened = TraceFile::open(path, LIMIT).expect_err("it is held").to_string();
        let checked = super::check(Some(path)).expect_err("it is held").to_string();
        assert!(opened.contains(words) && checked.contains(words), "{opened}, {checked}");
    }
    let mut tracks = tracks(&path("t.json"), 8_000, Place::Process);
    check_held(&path("t.json"));
    (0..20).for_each(|it| tracks.add(&step(it)).expect("is writable"));
    assert!(path("t.1.json").exists());
    check_held(&path("t.json"));
    check_held(&path("t.1.json"));
    tracks.close().expect("is writable");
    drop(tracks);
    super::check(Some(&path("t.json"))).expect("it is free");
    TraceFile::open(&path("t.json"), LIMIT).expect("it is free");
    assert!(path("t.2.json").exists(), "what was there is kept");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_takes_no_more_ends_its_trace_and_no_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let record = Record::new();
    let tracks = tracks(&path, LIMIT, Place::Process);
    let (cursor, stuck) = (Cursor::default(), false);
    let mut follower = Follower { tracks, record: record.clone(), cursor, stuck };
    record.add_news(step(0));
    follower.follow();
    let before = fs::read(&path).expect("is there");
    let full = fs::File::options().write(true).open("/dev/full");
    follower.tracks.file.file = full.expect("is there");
    record.add_news(step(1));
    follower.follow();
    assert!(follower.stuck);
    record.add_news(step(2));
    follower.end();
    assert_eq!(fs::read(&path).expect("is there"), before);
}
