//! `cargo xtask spec`: every number of docs/spec.md is cited, a requirement by code and by a test.
//!
//! Compares facts read beforehand: the numbers, the citations in comments, and the tests that
//! documents name. Whether a test proves what it cites is for its reader to judge. Invariant: what
//! is missing is a finding, unless docs/spec.md itself says why it may be.

mod citations;
mod cited_by;
mod named_tests;
mod numbers;
mod source;

use std::collections::BTreeMap;

use xshell::Shell;

use self::{
    citations::Citation,
    cited_by::Where,
    numbers::{Number, Section},
};
use crate::{
    Result,
    tidy::{Finding, tree::Tree},
};

/// The list of numbers.
const SPEC: &str = "docs/spec.md";

/// How many numbers stand on one line of the summary.
const COLUMNS: usize = 4;

/// How often a number is cited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    code: usize,
    tests: usize,
}

/// Checks everything, prints the summary, and last a line of counts.
///
/// # Errors
/// When something was found, or when the files cannot be read.
pub(crate) fn run(sh: &Shell) -> Result {
    let tree = Tree::load(&sh.current_dir())?;
    let text = tree.text(SPEC).ok_or_else(|| format!("there is no {SPEC}"))?;
    let sections = numbers::read(text);
    let citations = citations::all(&tree);
    let counts = count(&citations);
    print!("{}", summary(&sections, &counts));

    let mut findings = numbers::out_of_order(SPEC, &sections);
    findings.extend(uncited(&sections, &counts));
    findings.extend(unknown(&sections, &citations));
    findings.extend(named_tests::missing(&tree));
    for finding in &findings {
        println!("error[spec]: {finding}");
    }
    let (code, tests) =
        counts.values().fold((0, 0), |(code, tests), it| (code + it.code, tests + it.tests));
    let exceptions: usize = sections.iter().map(|it| it.exceptions.len()).sum();
    println!(
        "spec: {} numbers, {code} citations in code, {tests} in tests, {exceptions} exceptions, \
         {} failures",
        sections.len(),
        findings.len()
    );
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("{SPEC}, the code and the tests disagree in {} places", findings.len()).into())
}

fn count(citations: &[Citation]) -> BTreeMap<Number, Count> {
    let mut counts = BTreeMap::<Number, Count>::new();
    for citation in citations {
        let count = counts.entry(citation.number).or_default();
        match citation.by {
            Where::Code => count.code += 1,
            Where::Test => count.tests += 1,
            Where::Elsewhere => {}
        }
    }
    counts
}

/// Numbers that nothing cites, and exceptions that are none.
fn uncited(sections: &[Section], counts: &BTreeMap<Number, Count>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Section { number, line, exceptions } in sections {
        let count = counts.get(number).copied().unwrap_or_default();
        if !number.is_requirement() {
            if count.code + count.tests == 0 {
                findings.push(Finding::new(
                    format!("{SPEC}:{line}"),
                    format!("a citation of {number}"),
                    "none",
                    "cite the number where it is watched, or remove it",
                ));
            }
            continue;
        }
        for (by, cited) in [(Where::Code, count.code), (Where::Test, count.tests)] {
            let word = by.word();
            let excused = exceptions.iter().any(|exception| exception.to == by);
            let place = format!("{SPEC}:{line}");
            match (cited, excused) {
                (0, false) => findings.push(Finding::new(
                    place,
                    format!("a citation of {number} in {word}"),
                    "none",
                    "cite the number where it is fulfilled, or state an exception with its reason",
                )),
                (1.., true) => findings.push(Finding::new(
                    place,
                    format!("no citation of {number} in {word}, as the exception says"),
                    cited.to_string(),
                    "remove the exception",
                )),
                _ => {}
            }
        }
        for exception in exceptions.iter().filter(|exception| exception.reason.is_empty()) {
            findings.push(Finding::new(
                format!("{SPEC}:{line}"),
                format!("a reason why no {} cites {number}", exception.to.word()),
                "none",
                "write it behind the colon",
            ));
        }
    }
    findings
}

/// Citations of what the list does not have.
fn unknown(sections: &[Section], citations: &[Citation]) -> Vec<Finding> {
    let known = |number| sections.iter().any(|section| section.number == number);
    let unknown = citations.iter().filter(|citation| !known(citation.number));
    unknown
        .map(|Citation { number, place, .. }| {
            Finding::new(
                place,
                format!("a number of {SPEC}"),
                number.to_string(),
                "cite the number that is meant",
            )
        })
        .collect()
}

/// Number, citations in code and in tests, several numbers a line.
fn summary(sections: &[Section], counts: &BTreeMap<Number, Count>) -> String {
    let cells: Vec<_> = sections
        .iter()
        .map(|section| {
            let Count { code, tests } = counts.get(&section.number).copied().unwrap_or_default();
            format!("{:<6} {code:>4} {tests:>5}", section.number.to_string())
        })
        .collect();
    let head = vec![format!("{:<6} {:>4} {:>5}", "number", "code", "tests"); COLUMNS].join("    ");
    let lines = cells.chunks(COLUMNS).map(|cells| cells.join("    ") + "\n");
    format!("{head}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests;
