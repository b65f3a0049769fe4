//! A training at a glance: the content of the live page and of `status --watch`.
//!
//! Made of a status and of the recent past; measures and decides nothing.

use cluster::{CoordinatorStatus, ReplicaStatus, ServerPresence, ServerStatus};
use serde::Serialize;
use simulator::advice::{Diagnosis, Verdict};

use super::Recent;
use super::recent::Lately;
use crate::pages::slow_replicas;
use crate::units::time;

/// A training as of now.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct View {
    /// Its activity, in a sentence.
    pub(crate) state: String,
    /// The number of updates.
    pub(crate) step: i64,
    /// Updates a second, lately.
    pub(crate) rate: f64,
    /// A and N.
    pub(crate) aggregate: usize,
    pub(crate) total: usize,
    /// Which replicas the next update waits for, in a sentence.
    pub(crate) waits: String,
    /// What the user should know or do, each in a sentence.
    pub(crate) advice: Vec<String>,
    /// Steps and losses.
    pub(crate) losses: Vec<(i64, f64)>,
    /// The tests' measure, with steps and values.
    pub(crate) measure: &'static str,
    pub(crate) tests: Vec<(i64, f64)>,
    /// The time that the rows show, in seconds, and the updates in it.
    pub(crate) window: (f64, f64),
    pub(crate) updates: Vec<(i64, f64)>,
    pub(crate) replicas: Vec<Row>,
    pub(crate) servers: Vec<Server>,
    /// The state of checkpoints, in a sentence.
    pub(crate) checkpoints: String,
}

/// One replica.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) replica: u64,
    /// Its present activity, in words.
    pub(crate) doing: String,
    pub(crate) accepted: u64,
    /// Batches that came too late, or were given up for that, of the known ones.
    pub(crate) late: f64,
    /// The median of its computing lately, in seconds, and over the median of the others, step by
    /// step.
    pub(crate) compute: Option<f64>,
    pub(crate) factor: Option<f64>,
    /// Whether it is much slower than the others.
    pub(crate) slow: bool,
    /// What it did lately: from, to, and what.
    pub(crate) spans: Vec<(f64, f64, &'static str)>,
}

/// One parameter server.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Server {
    pub(crate) server: usize,
    /// Whether it is connected, and since when, in words.
    pub(crate) state: String,
    /// The machine's memory that it needs, and what it has received, in words.
    pub(crate) memory: String,
    pub(crate) received: String,
}

impl View {
    /// For a process that computes and knows of no other.
    pub(super) fn of_worker() -> Self {
        let state = "a worker; the page of parameter server 0 shows the training".to_owned();
        Self { state, ..Self::default() }
    }

    /// From the coordinating process's status, and the past.
    pub(crate) fn new(status: &ServerStatus, recent: &Recent) -> Self {
        let Some(it) = &status.coordinator else {
            let (server, step) = (status.server, status.global_step);
            let state = format!("parameter server {server}; the page of ps 0 shows the training");
            return Self { state, step, ..Self::default() };
        };
        let mut rows: Vec<Row> = it.replicas.iter().map(|r| row(it, r, recent)).collect();
        let diagnosis = recent.diagnosis();
        if let Some(diagnosis) = &diagnosis {
            compare(&mut rows, diagnosis);
        }
        let (from, to) = recent.window();
        Self {
            state: state(status, it),
            step: it.global_step,
            rate: status.updates_per_second.unwrap_or_default(),
            aggregate: it.replicas_to_aggregate,
            total: it.total_num_replicas,
            waits: waits(it),
            advice: advice(status, diagnosis.as_ref()),
            losses: recent.losses().to_vec(),
            measure: "accuracy",
            tests: Vec::new(),
            window: (from.as_secs_f64(), to.as_secs_f64()),
            updates: recent.updates.iter().map(|it| (it.step, it.at.as_secs_f64())).collect(),
            replicas: rows,
            servers: status.servers.iter().map(server).collect(),
            checkpoints: checkpoints(status, recent),
        }
    }
}

fn state(status: &ServerStatus, it: &CoordinatorStatus) -> String {
    if let Some(reason) = &it.ended {
        return format!("training has ended: {reason}");
    }
    if let Some(what) = &status.waiting_for {
        return format!("waits for {what}");
    }
    match status.serving {
        Some(false) => "waits for parameter servers, or restores a checkpoint".to_owned(),
        _ => "training".to_owned(),
    }
}

/// The replicas that hold a token, the longest holder first.
fn waits(it: &CoordinatorStatus) -> String {
    if it.ended.is_some() {
        return String::new();
    }
    let mut holders = it.waiting_for.clone();
    holders.sort_by(|a, b| b.1.total_cmp(&a.1));
    let missing = (it.replicas_to_aggregate as u64).saturating_sub(it.gradients);
    let names: Vec<String> =
        holders.iter().take(4).map(|(id, since)| format!("{id} ({})", time(*since))).collect();
    let more = holders.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let has = format!("the next update has {} of {}", it.gradients, it.replicas_to_aggregate);
    match holders.len() {
        0 => format!("{has} gradients; no replica computes"),
        1 => format!("{has} gradients and waits for replica {}", names.join(", ")),
        _ => format!(
            "{has} gradients and waits for {missing} of replicas {}{more}",
            names.join(", ")
        ),
    }
}

fn row(it: &CoordinatorStatus, status: &ReplicaStatus, recent: &Recent) -> Row {
    let lately = recent.replicas.get(&status.replica);
    let spans = lately.map(|lately| {
        let shown = lately.spans.iter().filter(|span| span.end > recent.window().0);
        shown.map(|it| (it.start.as_secs_f64(), it.end.as_secs_f64(), it.kind.name())).collect()
    });
    Row {
        replica: status.replica,
        doing: doing(it, status),
        accepted: status.accepted,
        late: lately.map_or(0.0, Lately::late),
        compute: lately.and_then(Lately::median),
        spans: spans.unwrap_or_default(),
        ..Row::default()
    }
}

fn doing(it: &CoordinatorStatus, status: &ReplicaStatus) -> String {
    let since =
        it.waiting_for.iter().find(|(id, _)| *id == status.replica).map(|(_, since)| *since);
    let since = since.map_or_else(String::new, |since| format!(" for {}", time(since)));
    match (&*status.state, &status.failure) {
        ("failed", Some(reason)) => format!("failed: {reason}"),
        ("computing", _) => format!("computing{since}"),
        ("waiting", _) => "waiting for a token".to_owned(),
        ("silent", _) => {
            format!("silent for {}", time(status.silent_seconds.unwrap_or_default()))
        }
        ("timed_out", _) => format!("too slow: another has its token{since}"),
        (state, _) => state.to_owned(),
    }
}

/// Marks slow replicas, and how much slower than the others each is.
fn compare(rows: &mut [Row], diagnosis: &Diagnosis) {
    for standing in &diagnosis.replicas {
        let own = |row: &&mut Row| i64::try_from(row.replica) == Ok(standing.replica);
        if let Some(row) = rows.iter_mut().find(own) {
            row.factor = Some(standing.factor);
            row.slow = standing.verdict != Verdict::Usual;
        }
    }
}

fn advice(status: &ServerStatus, diagnosis: Option<&Diagnosis>) -> Vec<String> {
    let mut advice = diagnosis.map(slow_replicas::sentences).unwrap_or_default();
    for server in status.servers.iter().filter(|it| !it.up) {
        let (name, away) = (server.server, time(server.seconds));
        advice.push(format!("parameter server {name} has been away for {away}"));
    }
    if let Some(reason) = &status.checkpoint_error {
        advice.push(format!("the newest checkpoint was not written: {reason}"));
    }
    let failed = status.coordinator.iter().flat_map(|it| &it.replicas);
    for replica in failed.filter(|it| it.failure.is_some()) {
        let reason = replica.failure.as_deref().unwrap_or_default();
        advice.push(format!("replica {} failed: {reason}", replica.replica));
    }
    advice
}

fn server(it: &ServerPresence) -> Server {
    let since = time(it.seconds);
    Server {
        server: it.server,
        state: if it.up { format!("up for {since}") } else { format!("AWAY for {since}") },
        memory: it.usage.map_or_else(String::new, |usage| bytes(usage.memory_bytes)),
        received: it.usage.map_or_else(String::new, |usage| bytes(usage.received_bytes)),
    }
}

fn checkpoints(status: &ServerStatus, recent: &Recent) -> String {
    let mut text = match &recent.saved {
        None => "none was written since this process began".to_owned(),
        Some(saved) => format!(
            "the newest is of update {}: {}, written in {}, {} ago",
            saved.step,
            bytes(saved.bytes),
            time(saved.took.as_secs_f64()),
            time(recent.now.saturating_sub(saved.at).as_secs_f64()),
        ),
    };
    if status.failed_checkpoints > 0 {
        text.push_str(&format!("; {} were not written", status.failed_checkpoints));
    }
    text
}

/// `12.3 MB`.
fn bytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        it if it < 1e3 => format!("{it:.0} B"),
        it if it < 1e6 => format!("{:.1} kB", it / 1e3),
        it if it < 1e9 => format!("{:.1} MB", it / 1e6),
        it => format!("{:.1} GB", it / 1e9),
    }
}
