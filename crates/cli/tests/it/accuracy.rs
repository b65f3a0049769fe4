//! The defaults learn: each model reaches what is promised of it, with a straggler in the way.

use crate::program::{folder, train};

#[track_caller]
fn check(model: &str, at_least: f64) {
    let folder = folder();
    let summary = train(folder.path(), &["--model", model]);
    let accuracy = summary["test_accuracy"].as_f64().expect("is a number");
    assert!(accuracy >= at_least, "{model}: {accuracy}");
    // P-13: the slow replica is told that it is late, and holds nobody up.
    assert!(summary["replicas"][4]["superseded"].as_u64() > Some(0), "{summary}");
}

#[test]
fn softmax_reaches_94_percent() {
    check("softmax", 0.94);
}

#[test]
fn mlp_reaches_96_percent() {
    check("mlp", 0.96);
}

#[test]
fn embedding_reaches_94_percent() {
    check("embedding", 0.94);
}
