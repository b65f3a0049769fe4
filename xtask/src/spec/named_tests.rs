//! Tests that documents name in their tables exist.
//!
//! A table is looked at when one of its columns is headed `test` or `test that shows it`; each code
//! span in that column which reads like a function's name must be one, in a test. Invariant: a test
//! cannot be renamed or lost without its document being mended.

use std::collections::BTreeSet;

use super::{citations::place, cited_by::Where, source};
use crate::tidy::{Finding, tree::Tree};

const HEADS: [&str; 2] = ["test", "test that shows it"];

/// Names that no test bears.
pub(super) fn missing(tree: &Tree) -> Vec<Finding> {
    let known = functions_of_tests(tree);
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        for (line, name) in named(text).filter(|(_, name)| !known.contains(*name)) {
            findings.push(Finding::new(
                format!("{path}:{line}"),
                "the name of a test",
                format!("`{name}`"),
                "name the test as it is called in the source",
            ));
        }
    }
    findings
}

fn functions_of_tests(tree: &Tree) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, text) in tree.texts(".rs") {
        let whole = place(path) == Where::Test;
        let lines = source::lines(text).filter(|line| whole || line.of_test);
        names.extend(lines.filter_map(|line| line.function()).map(str::to_owned));
    }
    names
}

/// The names in the column of tests of every table, with their lines.
fn named(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut column = None;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !line.starts_with('|') {
            column = None;
            continue;
        }
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match column {
            // The first line of a table is its head; a table without the column names no test.
            None => column = Some(cells.iter().position(|cell| HEADS.contains(cell))),
            Some(at) => {
                let cell = at.and_then(|at: usize| cells.get(at)).copied().unwrap_or_default();
                let spans = cell.split('`').skip(1).step_by(2);
                found.extend(spans.filter(|it| is_name(it)).map(|name| (index + 1, name)));
            }
        }
    }
    found.into_iter()
}

fn is_name(span: &str) -> bool {
    !span.is_empty()
        && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
