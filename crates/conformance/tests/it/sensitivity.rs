//! A replay notices: each recorded thing, altered alone, fails its trace at the right place.

use conformance::replay;
use serde_json::{Value, json};

use crate::recorded::trace;

/// Replaces what `pointer` leads to in a carried trace, and looks at how the replay fails.
#[track_caller]
fn check(name: &str, pointer: &str, value: Value, expected: &str) {
    let mut trace = trace(name);
    assert_eq!(replay(&trace.to_string()), Ok(()), "{name} as it is");
    let field = trace.pointer_mut(pointer).expect("the trace has it");
    assert_ne!(*field, value, "{name}{pointer} is altered");
    *field = value;
    let failure = replay(&trace.to_string()).expect_err("it was altered").to_string();
    assert_eq!(failure, expected, "{name}{pointer}");
}

/// The same with a field that is not there yet.
#[track_caller]
fn check_with(name: &str, pointer: &str, field: &str, value: Value, expected: &str) {
    let mut whole = trace(name).pointer(pointer).expect("the trace has it").clone();
    let fields = whole.as_object_mut().expect("an object");
    assert!(fields.insert(field.to_owned(), value).is_none(), "{name}{pointer} has {field}");
    check(name, pointer, whole, expected);
}

#[test]
fn outcomes_of_dense_accumulators() {
    //
    let table = [
        (
            "/ops/3/expect/value/values/2",
            json!(4.001),
            "3 (take_grad): value[2] is 4, expected 4.001",
        ),
        (
            "/ops/3/expect/value/shape",
            json!([4]),
            "3 (take_grad): the shape of value is [2, 2], expected [4]",
        ),
        (
            "/ops/1/expect/error",
            json!("Aborted"),
            "1 (take_grad): the outcome is the error InvalidArgument, expected the error Aborted",
        ),
        (
            "/ops/1/expect",
            json!({"pending": true}),
            "1 (take_grad): the outcome is the error InvalidArgument, expected still blocked",
        ),
        (
            "/ops/6/expect",
            json!({"value": {"shape": [], "values": [0]}}),
            "6 (take_grad): the outcome is still blocked, expected a tensor of shape []",
        ),
        (
            "/ops/2/expect",
            json!({"error": "InvalidArgument"}),
            "2 (apply_grad): the outcome is success, expected the error InvalidArgument",
        ),
        ("/ops/4/expect/value", json!(1), "4 (num_accumulated): the outcome is 0, expected 1"),
        (
            "/ops/10/completes",
            json!([]),
            "10 (apply_grad): call 2 completed unexpectedly: a tensor of shape [2, 2]",
        ),
        ("/ops/10/completes/0/id", json!(3), "10 (apply_grad): call 3 did not complete"),
        (
            "/ops/10/completes/0/value/values/0",
            json!(-1.8),
            "10 (apply_grad): call 2: value[0] is -1.875, expected -1.8",
        ),
    ];
    for (pointer, value, expected) in table {
        check("dense-013", pointer, value, &format!("operation {expected}"));
    }
    let early = json!([{"id": 2, "value": {"shape": [], "values": [0]}}]);
    let expected = "operation 9 (apply_grad): call 2 did not complete";
    check_with("dense-013", "/ops/9", "completes", early, expected);
    let expected = "after the last operation: the list of blocked calls is [3, 4], expected [3]";
    check("dense-013", "/still_pending", json!([3]), expected);
}

#[test]
fn outcomes_of_sparse_accumulators() {
    //
    let table = [
        (
            "/ops/10/expect/indices",
            json!([1, 2]),
            "10 (take_grad): the list of indices is [1, 2, 3, 4, 5, 6], expected [1, 2]",
        ),
        (
            "/ops/10/expect/dense_shape/0",
            json!(8),
            "10 (take_grad): the dense shape is [-1], expected [8]",
        ),
        ("/ops/10/expect/value/values/1", json!(2.0), "10 (take_grad): value[1] is 4, expected 2"),
        (
            "/ops/2/expect",
            json!({"ok": true}),
            "2 (apply_grad): the outcome is the error InvalidArgument, expected success",
        ),
    ];
    for (pointer, value, expected) in table {
        check("sparse-025", pointer, value, &format!("operation {expected}"));
    }
}

#[test]
fn outcomes_of_queues() {
    //
    let queue = "queue-014";
    let table = [
        ("/ops/1/expect/value", json!(1), "1 (dequeue): the outcome is 0, expected 1"),
        ("/ops/1/expect", json!({"values": [0]}), "1 (dequeue): the outcome is 0, expected [0]"),
        (
            "/ops/2/expect",
            json!({"pending": true}),
            "2 (enqueue_many): the outcome is success, expected still blocked",
        ),
        (
            "/ops/3/expect",
            json!({"ok": true}),
            "3 (enqueue): the outcome is still blocked, expected success",
        ),
        ("/ops/4/completes", json!([]), "4 (dequeue): call 3 completed unexpectedly: success"),
        (
            "/ops/10/expect/values/0",
            json!(6),
            "10 (dequeue_many): the outcome is [5], expected [6]",
        ),
        (
            "/ops/11/expect/value",
            json!(true),
            "11 (is_closed): the outcome is false, expected true",
        ),
        ("/ops/13/expect/value", json!(1), "13 (size): the outcome is 0, expected 1"),
        (
            "/ops/15/completes/1/values",
            json!([8, 7]),
            "15 (enqueue_many): call 12: the outcome is [7, 8], expected [8, 7]",
        ),
        (
            "/ops/20/expect",
            json!({"error": "Cancelled"}),
            "20 (close): the outcome is success, expected the error Cancelled",
        ),
        (
            "/ops/22/expect/error",
            json!("Aborted"),
            "22 (enqueue): the outcome is the error Cancelled, expected the error Aborted",
        ),
    ];
    for (pointer, value, expected) in table {
        check(queue, pointer, value, &format!("operation {expected}"));
    }
    let expected = "after the last operation: the list of blocked calls is [], expected [4]";
    check(queue, "/still_pending", json!([4]), expected);
}

#[test]
fn states_of_replicas() {
    //
    let run = "sync-022";
    let table = [
        ("/events/0/state/tokens", json!(4), "0 (start): the number of tokens is 1, expected 4"),
        (
            "/events/0/state/local_steps/2",
            json!(1),
            "0 (start): the list of local steps is [0, 0, 0], expected [0, 0, 1]",
        ),
        (
            "/events/1/returned",
            json!([]),
            "1 (push): the set of returned pushes is {0}, expected {}",
        ),
        (
            "/events/4/returned",
            json!([1, 2]),
            "4 (push): the set of returned pushes is {1, 2, 3}, expected {1, 2}",
        ),
        (
            "/events/1/state/accumulated",
            json!([1, 2]),
            "1 (push): the count of gradients held is [1, 1], expected [1, 2]",
        ),
        ("/events/4/state/global_step", json!(2), "4 (push): the global step is 1, expected 2"),
        (
            "/events/4/state/dense/shape",
            json!([2, 1]),
            "4 (push): the shape of dense is [2], expected [2, 1]",
        ),
        (
            "/events/4/state/average_dense",
            json!(null),
            "4 (push): `ema_decay` says true about averages, the state says otherwise",
        ),
    ];
    for (pointer, value, expected) in table {
        check(run, pointer, value, &format!("operation {expected}"));
    }
}

/// The fields that hold what was seen; all others say what was done.
const SEEN: [&str; 9] = [
    "expect",
    "completes",
    "still_pending",
    "variable",
    "slots",
    "slot_names",
    "average",
    "returned",
    "state",
];

/// Every leaf below a field that was seen, and every empty list among them.
fn seen(value: &Value, pointer: &str, below: bool, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = below || SEEN.contains(&name.as_str());
                seen(value, &format!("{pointer}/{name}"), below, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                seen(item, &format!("{pointer}/{index}"), below, found);
            }
        }
        _ if below => found.push(pointer.to_owned()),
        _ => {}
    }
}

/// Something else of the same form.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!(number + 1),
            None => {
                let number = number.as_f64().expect("a number");
                json!(number + (0.001 + number.abs() * 0.001).copysign(number))
            }
        },
        Value::String(text) if text == "Cancelled" => json!("OutOfRange"),
        Value::String(_) => json!("Cancelled"),
        _ => json!([7]),
    }
}

#[test]
fn nothing_that_was_seen_is_passed_over() {
    let traces = [
        "dense-013",
        "sparse-025",
        "queue-014",
        "optim-adam-017",
        "optim-ftrl-038",
        "optim-rmsprop-035",
        "ema-002",
        "sync-010",
        "sync-022",
    ];
    for name in traces {
        let mut trace = trace(name);
        let mut pointers = Vec::new();
        seen(&trace, "", false, &mut pointers);
        assert!(pointers.len() > 20, "{name}: {pointers:?}");
        for pointer in pointers {
            let field = trace.pointer_mut(&pointer).expect("it was found there");
            let value = std::mem::replace(field, other(field));
            assert!(replay(&trace.to_string()).is_err(), "{name}{pointer} is not looked at");
            *trace.pointer_mut(&pointer).expect("it is still there") = value;
        }
        assert_eq!(replay(&trace.to_string()), Ok(()), "{name} as it was");
    }
}
