//! What the tests of all rules share: facts made by hand, and one way to compare findings.

use super::*;
use crate::workspace::{Dependency, Kind};

/// Runs `rule` and compares its findings, each as `place: came`, warnings with a leading `~`.
#[track_caller]
pub(super) fn check(rule: Rule, facts: &Facts, expected: &[&str]) {
    let found: Vec<_> = rule(facts)
        .into_iter()
        .map(|Finding { place, came, warning, .. }| {
            format!("{}{place}: {came}", if warning { "~" } else { "" })
        })
        .collect();
    assert_eq!(found, expected);
}

/// Facts about these files alone, each given by path and text.
pub(super) fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Facts {
    let mut facts = Facts::default();
    for (path, text) in files {
        facts.tree.insert(path, Some(text.to_owned()));
    }
    facts
}

/// A crate in `crates/` without anything.
pub(super) fn package(name: &str) -> Package {
    Package { name: name.to_owned(), folder: format!("crates/{name}"), ..Package::default() }
}

/// A plain dependency.
pub(super) fn needs(name: &str, kind: Kind) -> Dependency {
    Dependency { name: name.to_owned(), kind, optional: false, features: Vec::new() }
}

#[test]
fn rules_have_distinct_names() {
    let mut names = RULES.map(|(name, _)| name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

#[test]
fn rules_find_nothing_wrong_with_nothing() {
    for (_, rule) in RULES {
        check(rule, &Facts::default(), &[]);
    }
}

#[test]
fn a_finding_says_where_what_was_expected_what_came_and_what_to_do() {
    let finding = Finding::new("a.rs:3", "at most 5", "9", "split it");
    assert_eq!(finding.to_string(), "a.rs:3: expected at most 5, came 9; split it");
}
