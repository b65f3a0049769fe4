//! Replays on clusters: what passes, what does not, and what has no counterpart there.

use conformance::{Replayed, replay_on_clusters};

use crate::recorded::trace;

/// P-16, over the network.
#[test]
fn a_run_of_the_whole_composition() {
    let trace = trace("sync-repeated-rows");
    assert_eq!(replay_on_clusters(&trace.to_string()), Ok(Replayed::Passed));
}

/// Whatever is recorded is compared.
#[test]
fn a_run_that_was_altered() {
    #[track_caller]
    fn check(field: &str, value: serde_json::Value, expected: &str) {
        let mut trace = trace("sync-000");
        trace["events"][2]["state"][field] = value;
        let failure = replay_on_clusters(&trace.to_string()).expect_err("it was altered");
        let expected = format!("operation 2 (push): with 1 servers, {expected}");
        assert!(failure.to_string().starts_with(&expected), "{failure}");
    }
    check("global_step", 7.into(), "the global step is 0, expected 7");
    check("tokens", 9.into(), "the number of tokens is");
    check("accumulated", serde_json::json!([2, 1]), "the count of gradients held is [2, 2]");
    check("local_steps", serde_json::json!([0, 0, 0, 1]), "the list of local steps is");
}

#[test]
fn a_run_of_one_part_alone() {
    let trace = trace("queue-014");
    assert_eq!(replay_on_clusters(&trace.to_string()), Ok(Replayed::NoCounterpart));
}
