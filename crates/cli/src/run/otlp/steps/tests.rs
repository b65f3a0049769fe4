//! Spans of steps: which there are, when, and what holds between them.

use sync_replicas::ReplicaId;

use super::*;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn batch(replica: u64, step: i64, kind: SpanKind, (start, end): (u64, u64)) -> record::Span {
    let replica = ReplicaId::new(replica);
    record::Span { batch: Some(7), ..record::Span::new(replica, step, kind, (ms(start), ms(end))) }
}

fn update(server: u64, step: i64, (start, end): (u64, u64)) -> UpdateSpan {
    UpdateSpan { server, step, start: ms(start), end: ms(end) }
}

fn news(spans: Vec<record::Span>, update_spans: Vec<UpdateSpan>) -> News {
    let made = |it: &UpdateSpan| {
        let (step, at) = (it.step, it.end);
        UpdateMade { step, loss: Some(0.5), examples: 64, at }
    };
    let updates = update_spans.iter().filter(|it| it.server == 0).map(made).collect();
    News { updates, spans, update_spans, ..News::default() }
}

fn steps() -> Steps {
    Steps::new("000102030405060708090a0b0c0d0e0f".parse().expect("is one"), 1)
}

/// What has happened since the beginning of 1970, look by look; the last one is the end. Spans are
/// `NAME STEP START..END`, in milliseconds.
#[track_caller]
fn check(looks: Vec<News>, expected: &[&[&str]]) {
    let mut steps = steps();
    let last = looks.len() - 1;
    for (look, (news, expected)) in looks.iter().zip(expected).enumerate() {
        let spans = steps.add(news, UNIX_EPOCH, look == last);
        let spans: Vec<_> = spans.iter().map(words).collect();
        assert_eq!(spans, *expected, "look {look}");
    }
}

fn words(span: &Span) -> String {
    let step = span.attributes.iter().find(|it| it.key == "sync_replicas.step");
    let Some(Value::IntValue(step)) = step.and_then(|it| it.value.clone()?.value) else {
        panic!("{span:?} has no step")
    };
    let ids = StepIds::new(steps().run, step);
    assert_eq!(span.trace_id, ids.trace);
    let is_own = span.name == "step";
    assert_eq!((span.span_id == ids.span, span.parent_span_id.is_empty()), (is_own, is_own));
    assert!(is_own || span.parent_span_id == ids.span);
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    format!("{} {step} {}..{}", span.name, start / 1_000_000, end / 1_000_000)
}

// P-7: which step everything was for.
#[test]
fn a_step_reaches_from_its_first_token_to_its_update() {
    use SpanKind::{Accepted, LookedUp, Sent, Stale, Waited};

    // A span that comes after its update, as in a cluster, is still covered, and the wait is not.
    check(
        vec![
            news(vec![batch(0, 4, Waited, (5, 10))], vec![update(0, 5, (30, 34))]),
            news(vec![batch(0, 4, Accepted, (10, 20)), batch(0, 4, Sent, (20, 25))], vec![]),
            News::default(),
        ],
        &[
            &["update 4 30..34", "wait 4 5..10"],
            &["compute 4 10..20", "send 4 20..25", "step 4 10..34"],
            &[],
        ],
    );
    // All servers' parts, and no late batch, which has no span to reopen.
    check(
        vec![
            news(vec![batch(0, 0, LookedUp, (0, 2)), batch(0, 0, Accepted, (0, 9))], vec![]),
            news(vec![], vec![update(0, 1, (9, 12)), update(1, 1, (9, 15))]),
            news(vec![batch(1, 0, Stale, (1, 40))], vec![]),
            news(vec![batch(2, 0, Stale, (1, 60))], vec![]),
        ],
        &[
            &["lookup 0 0..2", "compute 0 0..9"],
            &["update 0 9..12", "update 0 9..15"],
            &["compute 0 1..40", "step 0 0..15"],
            &["compute 0 1..60"],
        ],
    );
}

#[test]
fn what_ends_in_the_middle_has_its_steps() {
    use SpanKind::{Accepted, Superseded};

    // At the end of training, one step without its update.
    check(
        vec![news(
            vec![batch(0, 0, Accepted, (1, 3)), batch(0, 1, Superseded, (5, 8))],
            vec![update(0, 1, (3, 5))],
        )],
        &[&["update 0 3..5", "compute 0 1..3", "compute 1 5..8", "step 0 1..5", "step 1 5..8"]],
    );
    // A restore: both of its times.
    check(
        vec![
            news(vec![batch(0, 0, Accepted, (1, 3))], vec![update(0, 1, (3, 4))]),
            news(vec![batch(0, 0, Accepted, (11, 13))], vec![update(0, 1, (13, 14))]),
            News::default(),
        ],
        &[
            &["update 0 3..4", "compute 0 1..3"],
            &["step 0 1..4", "update 0 13..14", "compute 0 11..13"],
            &["step 0 11..14"],
        ],
    );
    // The record has dropped the update of step 0.
    check(
        vec![
            news(vec![batch(0, 0, Accepted, (1, 3))], vec![update(0, 2, (7, 9))]),
            News::default(),
            News::default(),
        ],
        &[&["update 1 7..9", "compute 0 1..3"], &["step 0 1..3", "step 1 7..9"], &[]],
    );
    check(vec![News::default(), News::default()], &[&[], &[]]);
}

#[test]
fn spans_have_what_is_known_as_attributes() {
    use SpanKind::{Accepted, Stale};

    let mut steps = steps();
    let late = record::Span { bytes: 10, staleness: 2, ..batch(3, 0, Stale, (0, 9)) };
    let saved = record::Saved { step: 1, at: ms(9), took: ms(2), bytes: 5 };
    let told = news(vec![batch(1, 0, Accepted, (0, 1)), late], vec![update(2, 1, (1, 2))]);
    let updates = vec![UpdateMade { step: 1, loss: Some(0.5), examples: 64, at: ms(2) }];
    let spans = steps.add(&News { updates, saves: vec![saved], ..told }, UNIX_EPOCH, true);
    let text = |value: Value| match value {
        Value::IntValue(it) => it.to_string(),
        Value::DoubleValue(it) => it.to_string(),
        Value::StringValue(it) => it,
        other => panic!("{other:?}"),
    };
    let attributes = spans.iter().map(|span| {
        let each = span.attributes.iter().cloned().map(|it| {
            let value = text(it.value.expect("is there").value.expect("is there"));
            format!("{}={value}", it.key.strip_prefix("sync_replicas.").expect("is ours"))
        });
        format!("{} {}", span.name, each.collect::<Vec<_>>().join(" "))
    });
    let expected = [
        "update step=0 server=2",
        "compute step=0 replica=1 batch=7 outcome=accepted",
        "compute step=0 replica=3 batch=7 outcome=stale bytes=10 staleness=2",
        "checkpoint step=0 bytes=5",
        "step step=0 update=1 loss=0.5 examples=64",
    ];
    assert!(attributes.eq(expected));
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|it| &it.span_id).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans.iter().all(|it| it.flags == FLAGS));
}

// Times are the system's, though training counts from its beginning.
#[test]
fn times_are_of_the_systems_clock() {
    let told = news(vec![batch(0, 0, SpanKind::Accepted, (1, 3))], vec![]);
    let spans = steps().add(&told, UNIX_EPOCH + ms(1_000), false);
    assert_eq!(words(&spans[0]), "compute 0 1001..1003");
}
