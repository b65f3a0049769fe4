//! The points of the code, those of the harness, and those of the document are the same.

use std::collections::BTreeSet;
use std::path::Path;

use super::points::{
    DOUBLE, FULL, HUNG, LAST, POINTS, Point, SMOKE, TABLE_DOUBLE, TABLE_FULL, TABLE_LAST,
    TABLE_POINTS, WISHED,
};
use super::scenario;
use crate::tidy::tree::Tree;

const DOCUMENT: &str = "docs/faults.md";

/// Where points are declared, and no process is at one.
const LISTS: [&str; 2] = ["crates/cluster/src/crash/plan.rs", "crates/cluster/src/crash/disk.rs"];

fn tree() -> Tree {
    Tree::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a root")).expect("readable")
}

/// The string literals behind a word.
fn literals<'a>(text: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    text.match_indices(word).filter_map(move |(at, _)| {
        let rest = &text[at..];
        rest.split('"').nth(1)
    })
}

/// Of all jobs.
fn points() -> impl Iterator<Item = &'static Point> {
    POINTS.iter().chain(&TABLE_POINTS)
}

fn known() -> BTreeSet<String> {
    points().map(|point| point.name.to_owned()).collect()
}

#[test]
fn the_code_has_the_points_of_the_harness() {
    let (tree, mut marked) = (tree(), BTreeSet::new());
    for (path, text) in tree.texts(".rs").filter(|(path, _)| path.starts_with("crates/cluster")) {
        if !path.ends_with("src/crash.rs") {
            marked.extend(literals(text, "crash_point!(").map(str::to_owned));
        }
        if path.ends_with("crash/disk.rs") {
            let names = text.split('"').skip(1).step_by(2);
            marked.extend(names.filter(|it| it.contains('/')).map(str::to_owned));
        }
    }
    assert_eq!(marked, known());
    let lists = LISTS.map(|list| tree.text(list).expect("it is there"));
    for name in known() {
        let listed = lists.iter().any(|list| list.contains(&format!("    \"{name}\",")));
        assert!(listed, "neither of {LISTS:?} has {name}");
    }
}

#[test]
fn the_document_has_the_points_of_the_harness() {
    let tree = tree();
    let text = tree.text(DOCUMENT).expect("it is there");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<_> = rows.filter(|(name, _)| !name.contains(' ')).collect();
    let named: BTreeSet<_> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, known());
    assert_eq!(rows.len(), points().count(), "each job's table has its points");
    for (point, (name, rest)) in points().zip(&rows) {
        assert_eq!(*name, point.name, "they are in the same order");
        let cells: Vec<_> = rest.split('|').map(str::trim).collect();
        let processes: Vec<_> = point.at.iter().map(|(process, _)| *process).collect();
        assert_eq!(cells.get(1), Some(&&*processes.join(", ")), "{}", point.name);
        let killed = cells.get(3).copied().unwrap_or_default();
        assert!(killed.starts_with(point.killed.word()), "{}: {killed}", point.name);
    }
    let double =
        DOUBLE.iter().chain(&TABLE_DOUBLE).map(|(first, then)| format!("| `{first}` | `{then}` |"));
    let last = LAST.iter().chain(&TABLE_LAST).map(|(at, other, outcome)| {
        let who = other.unwrap_or("the same");
        format!("| `{at}` | {who} | {} |", outcome.word())
    });
    let wished = WISHED.iter().map(|(first, then)| {
        let then = then.map_or("then".to_owned(), |then| format!("`{then}`"));
        format!("| `{first}` | {then} |")
    });
    let hung = HUNG.iter().map(|at| format!("| `{at}` |"));
    let full = FULL.iter().chain(&TABLE_FULL).map(|(at, last, outcome)| {
        let saved = if *last { "at the end" } else { "every 4 updates" };
        format!("| `{at}` | {saved} | {} |", outcome.word())
    });
    for row in double.chain(last).chain(wished).chain(hung).chain(full) {
        assert!(text.contains(&row), "{DOCUMENT} has no {row}");
    }
}

#[test]
fn the_smoke_set_is_of_points_that_exist() {
    assert_eq!(scenario::smoke().len(), SMOKE.len() + 1);
}

#[test]
fn a_filter_that_fits_nothing_is_an_error() {
    assert!(scenario::all(Some("nowhere")).is_err());
    assert_eq!(scenario::all(Some("worker/token-held worker-1 kill")).expect("one").len(), 1);
}

#[test]
fn a_seed_means_the_same_every_time() {
    for seed in 0..50 {
        let (one, two) = (scenario::random(seed), scenario::random(seed));
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert!((1..=3).contains(&one.crashes.len()));
    }
}
