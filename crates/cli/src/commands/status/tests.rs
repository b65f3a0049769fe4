//! What is said of a server, line by line.

use super::*;
use cluster::{CoordinatorStatus, ReplicaStatus, ServerPresence, Usage};

fn server(coordinator: Option<CoordinatorStatus>) -> ServerStatus {
    ServerStatus {
        server: 0,
        generation: 1,
        global_step: 200,
        parts: 1,
        elements: 650,
        staged_bytes: 0,
        connected: 1,
        usage: Usage::default(),
        snapshots: 0,
        bad_messages: 0,
        checkpoints: 1,
        failed_checkpoints: 2,
        checkpoint_error: Some("the disk is full".to_owned()),
        updates_per_second: Some(57.4),
        waiting_for: None,
        serving: Some(true),
        servers: vec![presence(0, true, 90.0)],
        refusals: None,
        coordinator,
    }
}

fn presence(server: usize, up: bool, seconds: f64) -> ServerPresence {
    ServerPresence { server, up, seconds, usage: None }
}

fn training() -> CoordinatorStatus {
    CoordinatorStatus {
        generation: 1,
        global_step: 200,
        replicas_to_aggregate: 3,
        total_num_replicas: 4,
        gradients: 0,
        gradients_by_lane: vec![0],
        tokens: 0,
        ended: None,
        totals: Default::default(),
        waiting_for: vec![(2, 0.0123), (3, 400.0)],
        step_timeout: Some(20.0),
        replicas: vec![ReplicaStatus {
            replica: 2,
            state: "computing".into(),
            silent_seconds: Some(0.25),
            local_step: 200,
            accepted: 190,
            stale: 7,
            expired: 1,
            failure: Some("it panicked".to_owned()),
        }],
    }
}

#[track_caller]
fn check(status: &ServerStatus, expected: &[&str]) {
    let text = table(status);
    for line in expected {
        assert!(text.lines().any(|it| it == *line), "no line {line:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for internal in ["Requested", "Failed(", "has 0,"] {
        assert!(!text.contains(internal), "{text}");
    }
}

#[test]
fn the_status_is_in_plain_words() {
    let first = "ps 0: step 200, generation 1, 650 numbers in 1 part, 1 replica connected";
    check(&server(None), &[first]);
    check(
        &server(Some(training())),
        &[
            first,
            "3 of 4 gradients make an update",
            "the open step has none yet, and no token is free; 57 updates a second",
            "the step waits for replica 2 (12.3 ms), replica 3 (6.67 min)",
            "2 checkpoints not written",
            "THE NEWEST CHECKPOINT WAS NOT WRITTEN: the disk is full",
            "replica  state         last heard    step  accepted   stale  lost tokens",
            "      2  computing     250 ms ago     200       190       7            1",
            "         it panicked",
        ],
    );
    check(
        &server(Some(CoordinatorStatus {
            gradients: 2,
            tokens: 1,
            waiting_for: Vec::new(),
            ..training()
        })),
        &[
            "the open step has 2 of them, and 1 token is free; 57 updates a second",
            "the step waits for no replica",
        ],
    );
}

// P-28
#[test]
fn servers_that_are_away_are_named() {
    let servers = vec![presence(0, true, 90.0), presence(1, false, 12.0), presence(2, true, 3.0)];
    let status = ServerStatus { serving: Some(false), servers, ..server(Some(training())) };
    check(
        &status,
        &[
            "it waits for the other parameter servers, or restores a checkpoint",
            "ps 1 has been away for 12.0 s",
        ],
    );
    assert!(!table(&status).contains("ps 2 has been away"));
}

#[test]
fn a_server_without_a_program_says_what_it_waits_for() {
    let waiting_for = Some("a program".to_owned());
    let status = ServerStatus { waiting_for, ..server(None) };
    check(&status, &["it waits for a program"]);
}

#[test]
fn an_end_is_told_with_its_reason() {
    let ended = |reason: &str| {
        server(Some(CoordinatorStatus { ended: Some(reason.to_owned()), tokens: 5, ..training() }))
    };
    check(&ended("step 200 was reached"), &["training has ended: step 200 was reached"]);
    assert!(!table(&ended("step 200 was reached")).contains("waits for"));
}
