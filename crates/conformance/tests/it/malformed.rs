//! What is no trace, or contradicts itself, is refused with a reason; nothing panics or hangs.

use conformance::{Place, replay};
use serde_json::{Value, json};

use crate::recorded::trace;

/// Replaces what `pointer` leads to (it may be a field that is not there yet; null takes one away),
/// and looks at how the replay fails.
#[track_caller]
fn check(name: &str, pointer: &str, value: Value, expected: &str) {
    let mut trace = trace(name);
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    match trace.pointer_mut(parent).expect("the trace has it") {
        Value::Object(fields) if value == json!("nothing") => drop(fields.remove(field)),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        parent => {
            let index: usize = field.parse().expect("a place in a list");
            parent[index] = value;
        }
    }
    let failure = replay(&trace.to_string()).expect_err("it was spoilt");
    assert_ne!(failure.place, Place::Panic, "{failure}");
    let failure = failure.to_string();
    assert!(failure.contains(expected), "{name}{pointer}: {failure}");
}

#[test]
fn text_that_is_no_trace() {
    for text in ["", "{", "[]", "7", "{\"kind\": 3}", "{\"name\": \"x\"}", "\u{0}", "nul"] {
        let failure = replay(text).expect_err("it is no trace");
        assert_eq!(failure.place, Place::File, "{text}: {failure}");
        assert!(failure.difference.starts_with("not a trace: "), "{text}: {failure}");
    }
}

#[test]
fn what_the_format_does_not_know() {
    let table = [
        ("dense-013", "/kind", json!("dense"), "unknown variant `dense`"),
        ("dense-013", "/colour", json!(1), "unknown field `colour`"),
        ("dense-013", "/dtype", json!("float16"), "unknown variant `float16`"),
        ("dense-013", "/reduction", json!("mean"), "unknown variant `mean`"),
        ("dense-013", "/shape", json!("nothing"), "missing field `shape`"),
        ("dense-013", "/still_pending", json!("nothing"), "missing field `still_pending`"),
        ("dense-013", "/ops/4/op", json!("peek"), "operation 4: unknown variant `peek`"),
        ("dense-013", "/ops/4/colour", json!(1), "operation 4: unknown field `colour`"),
        ("dense-013", "/ops/2/colour", json!(1), "operation 2: unknown field `colour`"),
        ("dense-013", "/ops/2/expect", json!("nothing"), "operation 2: missing field `expect`"),
        ("dense-013", "/ops/2/expect/colour", json!(1), "operation 2: `expect`: an outcome must"),
        ("dense-013", "/ops/2/expect/ok", json!(false), "are true or not there"),
        ("dense-013", "/ops/1/expect/error", json!("Internal"), "an outcome must be one of"),
        ("dense-013", "/ops/2/grad/values", json!([1.0]), "of shape [2, 2] has 1 values"),
        ("dense-013", "/ops/2/grad/shape", json!([-2, 2]), "operation 2: invalid value"),
        ("dense-013", "/ops/2/grad/shape", json!([0, u64::MAX, u64::MAX]), "has 4 values"),
        ("dense-013", "/ops/6/id", json!("nothing"), "operation 6: missing field `id`"),
        ("dense-013", "/ops/10/completes/0/id", json!("nothing"), "missing field `id`"),
        ("sparse-025", "/ops/2/dense_shape", json!("nothing"), "missing field `dense_shape`"),
        ("queue-014", "/ops/13/n", json!(1), "operation 13: unknown field `n`"),
        ("queue-014", "/ops/0/value", json!(0.5), "operation 0: invalid type"),
        ("optim-adam-017", "/steps/1/colour", json!(1), "operation 1: unknown field `colour`"),
        ("ema-002", "/steps/0/num_updates", json!("nothing"), "missing field `num_updates`"),
        ("ema-002", "/steps/0/num_updates", json!(-1), "operation 0: invalid value"),
        ("sync-022", "/ema_decay", json!("nothing"), "missing field `ema_decay`"),
        ("sync-022", "/events/1/op", json!("pull"), "operation 1: unknown variant `pull`"),
        ("sync-022", "/events/1/state/colour", json!(1), "operation 1: unknown field `colour`"),
        ("sync-022", "/events/1/state/accumulated", json!([1]), "operation 1: invalid length"),
    ];
    for (name, pointer, value, expected) in table {
        check(name, pointer, value, expected);
    }
}

#[test]
fn what_contradicts_itself() {
    let table = [
        ("dense-013", "/shape", json!([-2]), "before the first operation: shape [-2]: -2 is no"),
        ("dense-013", "/ops/7/id", json!(2), "call 2 is blocked, and another one has its id"),
        ("queue-014", "/capacity", json!(0), "before the first operation: a bounded queue needs"),
        ("queue-014", "/ops/10/n", json!(-1), "the error InvalidArgument, expected [5]"),
        ("optim-adam-017", "/optimizer", json!("adamw"), "unknown variant `adamw`"),
        ("optim-adam-017", "/params/colour", json!(1), "unknown field `colour`"),
        ("optim-adam-017", "/params/beta1", json!("nothing"), "missing field `beta1`"),
        ("optim-adam-017", "/params/beta1", json!(2), "beta1"),
        ("optim-adam-017", "/slot_names", json!(["m"]), "the set of slots is"),
        ("optim-adam-017", "/sparse", json!(true), "`indices` contradict it"),
        ("optim-adam-019", "/sparse", json!(false), "`indices` contradict it"),
        ("optim-adam-019", "/steps/0/indices/0", json!(-1), "operation 0 (step): "),
        ("optim-adam-017", "/steps/0/grad", json!({"shape": [1], "values": [1]}), "shape"),
        ("ema-002", "/decay", json!(1.5), "before the first operation: "),
        ("sync-022", "/replicas_to_aggregate", json!(0), "replicas_to_aggregate is 0"),
        ("sync-022", "/num_tokens", json!(0), "too few initial tokens"),
        ("sync-022", "/num_tokens", json!(-2), "num_tokens is -2"),
        ("sync-022", "/ema_decay", json!(null), "`ema_decay` says false about averages"),
        ("sync-022", "/events/1/replica", json!(3), "replica 3 pushes, and there are 3 of them"),
        ("sync-022", "/events/1/indices/0", json!(-1), "operation 1 (push): index -1"),
        ("sync-022", "/events/1/indices/0", json!(99), "operation 1 (push): "),
        ("sync-022", "/events/1/dense", json!({"shape": [], "values": [1]}), "(push): "),
    ];
    for (name, pointer, value, expected) in table {
        check(name, pointer, value, expected);
    }
}

/// A replica that waits cannot push.
#[test]
fn a_push_out_of_turn() {
    let mut trace = trace("sync-022");
    let events = trace["events"].as_array_mut().expect("a list");
    let waits = events.iter().position(|event| event["returned"] == json!([]) && event["id"] == 1);
    let waits = waits.expect("its second push waits");
    let replica = events[waits]["replica"].clone();
    events[waits + 1]["replica"] = replica.clone();
    let failure = replay(&trace.to_string()).expect_err("it waits").to_string();
    let expected = format!("replica {replica} waits for a token, and was recorded to push");
    assert!(failure.ends_with(&expected), "{failure}");
}
