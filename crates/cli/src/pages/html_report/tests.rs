//! Numbers on axes, text in pages, and that a page is whole.

use std::time::Duration;

use sync_replicas::ReplicaId;
use sync_replicas::record::SpanKind;
use tabular::scores::Base;

use super::*;
use crate::pages::drawing::svg::{short, ticks};
use crate::run::summary::{ReplicaSummary, story, table};

#[test]
fn ticks_are_round() {
    #[track_caller]
    fn check(from: f64, to: f64, count: usize, expected: &[f64]) {
        let got = ticks(from, to, count);
        let close = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(got.len() == expected.len() && close, "{got:?}");
    }
    check(0.0, 1.0, 5, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    check(0.0, 300.0, 6, &[0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
    check(101.0, 107.0, 3, &[102.0, 104.0, 106.0]);
    check(5.0, 5.0, 3, &[5.0]);
    check(0.0, f64::INFINITY, 3, &[0.0]);
}

#[test]
fn coordinates_are_short() {
    for (number, expected) in [(0.0, "0"), (-0.001, "0"), (10.0, "10"), (1.26, "1.3"), (2.04, "2")]
    {
        assert_eq!(short(number, 1), expected);
    }
    assert_eq!(short(100.0, 0), "100");
}

fn span(replica: u64, step: i64, kind: SpanKind, start: u64, end: u64) -> Span {
    let times = (Duration::from_micros(start), Duration::from_micros(end));
    Span::new(ReplicaId::new(replica), step, kind, times)
}

fn summary() -> Summary {
    let replica = |replica| ReplicaSummary {
        replica,
        batches: 3,
        accepted: 2,
        stale: 0,
        duplicates: 0,
        unused: 0,
        superseded: 1,
        non_finite: 0,
        failed_batches: 0,
        compute_seconds: 0.1,
        wait_seconds: 0.0,
        straggler_ms: Some(1_000),
        failure: Some("<panic> & \"worse\"".to_owned()),
    };
    Summary {
        resumed_from: None,
        model: "mlp".into(),
        optimizer: "adam".into(),
        scores: Scores { test_accuracy: Some(0.5), ..Scores::default() },
        base: Base::default(),
        averages_test_accuracy: Some(0.25),
        loss: None,
        updates: 2,
        updates_this_run: 2,
        batches: 6,
        examples: 64,
        accepted: 4,
        stale: 0,
        duplicates: 0,
        unused: 0,
        superseded: 2,
        non_finite: 0,
        failed_batches: 0,
        seconds: 0.5,
        generation: 1,
        interrupted: false,
        stopped_by: None,
        run_dir: "runs/a<b".into(),
        checkpoint: "c".into(),
        best_step: None,
        best_value: None,
        best_checkpoint: None,
        variables_sha256: "00".into(),
        failed_replicas: 2,
        replicas: vec![replica(0), replica(1)],
        unfinished: false,
        tested_at: None,
    }
}

fn updates(n: i64) -> Vec<Update> {
    let update = |step| Update {
        step,
        loss: Some(if step == 2 { f64::NAN } else { 1.0 / step as f64 }),
        seconds: step as f64 * 1e-3,
        examples: 32,
        scores: Scores { test_accuracy: (step == 1).then_some(0.5), ..Scores::default() },
        averages_test_accuracy: None,
    };
    (1..=n).map(update).collect()
}

/// Opening and closing tags match, which is all that can be said without a browser.
#[track_caller]
fn check_markup(text: &str) {
    for tag in ["svg", "section", "table", "figure", "div", "tr", "td", "dl", "p", "title"] {
        let opened =
            text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
    for number in ["NaN", "inf\"", "inf%"] {
        assert!(!text.contains(number), "{number}");
    }
}

#[track_caller]
fn check_page(updates: &[Update], timeline: &[Span], fragments: &[&str]) {
    let summary = summary();
    let page = Page {
        title: "mlp <1>".to_owned(),
        settings: vec![("model".to_owned(), "<script>".to_owned())],
        summary: &summary,
        updates,
        restores: &[2],
        recent: updates,
        timeline,
    };
    let html = html(&page);
    check_markup(&html);
    check_markup(&picture(&page));
    for fragment in fragments {
        assert!(html.contains(fragment), "no {fragment}");
    }
    for outside in ["http:", "https:", "src=", "@import", "<b<", "<script>&", "a<b"] {
        assert!(!html.contains(outside), "{outside} is not in a page that stands alone");
    }
}

#[test]
fn pages_are_whole_and_stand_alone() {
    check_page(
        &[],
        &[],
        &["mlp &lt;1&gt;", "runs/a&lt;b", "failed: &lt;panic&gt; &amp; &quot;worse&quot;"],
    );
    let timeline = [
        span(0, 0, SpanKind::Accepted, 0, 900),
        span(0, 1, SpanKind::Waited, 900, 1_000),
        span(1, 0, SpanKind::Superseded, 0, 1_000),
        span(1, 1, SpanKind::Stale, 1_000, 2_500),
        span(1, 1, SpanKind::Duplicate, 2_500, 2_900),
    ];
    let words = [
        "replica 0, step 0: computed and accepted, 900 µs",
        "replica 0, for step 1: waited for a token, 100 µs",
        "superseded: its step was over",
        "dropped as stale",
        "another was first",
        "at least 2.00 s",
    ];
    check_page(&updates(3), &timeline, &words);
}

// P-5: in the table, in the sentence below it and in the JSON.
#[test]
fn replicas_that_failed_are_shown() {
    let summary = summary();
    let json = serde_json::to_string(&summary).expect("it is plain data");
    for (text, words) in [
        (table(&summary), "FAILED: <panic> & \"worse\"\n"),
        (story(&summary), "2 of 2 replicas FAILED."),
        (json, "\"failed_replicas\":2,"),
    ] {
        assert!(text.contains(words), "{words} is not in: {text}");
    }
}

#[test]
fn long_runs_show_their_first_and_last_updates() {
    let timeline = [span(0, 0, SpanKind::Accepted, 0, 900)];
    check_page(&updates(1_000), &timeline, &["the first updates", "the last updates"]);
}
