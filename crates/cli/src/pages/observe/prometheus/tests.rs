//! The page has what boards and alerts ask for, by the names that they ask with.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{CoordinatorStatus, ReplicaStatus, ServerPresence};
use sync_replicas::ReplicaId;
use sync_replicas::record::{Failure, Record, Saved, Span, SpanKind, UpdateMade, UpdateSpan};

use super::*;

fn recorded() -> Record {
    let record = Record::new();
    let time = Duration::from_millis;
    let span = |kind, from, to| Span::new(ReplicaId::new(1), 1, kind, (time(from), time(to)));
    record.add_spans([
        span(SpanKind::Waited, 0, 1),
        span(SpanKind::Accepted, 1, 9),
        span(SpanKind::LookedUp, 1, 2),
        Span { bytes: 40, ..span(SpanKind::Sent, 9, 10) },
        Span { staleness: 3, ..span(SpanKind::Stale, 10, 30) },
    ]);
    record.add_update(UpdateMade { step: 1, loss: Some(0.5), examples: 32, at: time(10) });
    record.add_update_span(UpdateSpan { server: 0, step: 1, start: time(9), end: time(10) });
    record.add_save(Saved { step: 1, at: time(20), took: time(5), bytes: 1000 });
    record.add_failure(Failure { replica: ReplicaId::new(1), reason: "no data".to_owned() });
    record
}

fn status() -> ServerStatus {
    let replica = ReplicaStatus {
        replica: 1,
        state: "computing".into(),
        silent_seconds: Some(0.1),
        local_step: 1,
        accepted: 1,
        stale: 1,
        expired: 0,
        failure: None,
    };
    let coordinator = CoordinatorStatus {
        generation: 1,
        global_step: 1,
        replicas_to_aggregate: 1,
        total_num_replicas: 2,
        gradients: 0,
        gradients_by_lane: vec![0],
        tokens: 0,
        ended: None,
        totals: Default::default(),
        waiting_for: vec![(1, 0.5)],
        step_timeout: None,
        replicas: vec![replica],
    };
    ServerStatus {
        parts: 1,
        refusals: Some(Default::default()),
        servers: vec![ServerPresence { server: 0, up: true, seconds: 1.0, usage: None }],
        coordinator: Some(coordinator),
        ..ServerStatus::default()
    }
}

fn whole() -> String {
    page(Some(status()), Some(recorded().activity()))
}

/// The metrics that a text names.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("sync_replicas_"));
    words.map(str::to_owned).collect()
}

#[test]
fn boards_and_alerts_ask_for_metrics_that_there_are() {
    let page = whole();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples: String = samples.flat_map(|line| [line, "\n"]).collect();
    let (there, folder) = (names(&samples), "../../../../../../docs/observability");
    for (file, text) in [
        ("grafana.json", include_str!("../../../../../../docs/observability/grafana.json")),
        ("alerts.yaml", include_str!("../../../../../../docs/observability/alerts.yaml")),
        ("observability.md", include_str!("../../../../../../docs/observability.md")),
    ] {
        let asked = names(text);
        assert!(asked.len() > 5, "{folder}/{file} asks for {asked:?}");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{folder}/{file} asks for {missing:?}, which no page has");
    }
}

/// The page is complete in the guide to it.
#[test]
fn every_metric_is_in_its_table() {
    let guide = names(include_str!("../../../../../../docs/observability.md"));
    let page = whole();
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for (name, kind) in families.filter_map(|line| line.split_once(' ')) {
        let suffix = match kind {
            "counter" => "_total",
            "histogram" => "_count",
            _ => "",
        };
        let name = format!("{name}{suffix}");
        assert!(guide.contains(&name), "{name} is not in docs/observability.md");
    }
}

#[test]
fn values_have_their_replica_and_outcome() {
    let page = whole();
    for line in [
        "sync_replicas_replica_batches_total{replica=\"1\",outcome=\"stale\"} 1\n",
        "sync_replicas_replica_compute_seconds_count{replica=\"1\"} 2\n",
        "sync_replicas_replica_compute_seconds_bucket{le=\"0.01\",replica=\"1\"} 1\n",
        "sync_replicas_replica_compute_seconds_bucket{le=\"+Inf\",replica=\"1\"} 2\n",
        "sync_replicas_replica_sent_bytes_total{replica=\"1\"} 40\n",
        "sync_replicas_gradient_staleness_steps_sum 3.0\n",
        "sync_replicas_checkpoint_size_bytes_sum 1000.0\n",
        "sync_replicas_replica_token_held_seconds{replica=\"1\"} 0.5\n",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}
