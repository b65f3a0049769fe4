//! P-16: every carried trace is passed, and every kind is among them.

use std::collections::BTreeMap;
use std::fs;

use conformance::run_folder;

use crate::recorded::{folder, trace};

#[test]
fn every_carried_trace_is_passed() {
    let report = run_folder(&folder()).expect("it has traces");
    assert_eq!(report.failed(), 0, "{report}");
    let mut kinds = BTreeMap::<String, usize>::new();
    for entry in fs::read_dir(folder()).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        if let Some(name) = name.strip_suffix(".json") {
            let kind = trace(name)["kind"].as_str().expect("a kind").to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let expected = [
        ("dense_accumulator", 42),
        ("moving_average", 5),
        ("optimizer", 47),
        ("sparse_accumulator", 46),
        ("sync_replicas", 27),
        ("token_queue", 43),
    ];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    assert_eq!(report.passed(), kinds.values().sum::<usize>());
}
