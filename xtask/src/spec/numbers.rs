//! The numbers and the list of them: `### R-1 Title`, and below it text and exceptions.
//!
//! Reads docs/spec.md as it is written, not all of Markdown. Invariant: every heading that starts
//! with a number becomes a section, also when the number came before.

use std::collections::BTreeSet;
use std::fmt;

use super::cited_by::Where;
use crate::tidy::Finding;

/// A number that comments cite: R is what TensorFlow does, P what is promised beyond
/// it; the list says what other letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    letter: char,
    value: u32,
}

/// One entry of the list.
pub(super) struct Section {
    pub(super) number: Number,
    /// Where its heading stands, from 1.
    pub(super) line: usize,
    pub(super) exceptions: Vec<Exception>,
}

/// A statement that something cites the number nowhere, and why: `Exception (test): reason`.
pub(super) struct Exception {
    pub(super) to: Where,
    pub(super) reason: String,
}

impl Number {
    /// The number that `text` starts with, and what follows it.
    pub(super) fn read(text: &str) -> Option<(Number, &str)> {
        let letter = text.chars().next().filter(char::is_ascii_uppercase)?;
        let digits = text[1..].strip_prefix('-')?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let value = digits[..end].parse().ok()?;
        Some((Number { letter, value }, &digits[end..]))
    }

    /// Whether it must be cited by code and by a test; others are cited where they are watched.
    pub(super) fn is_requirement(self) -> bool {
        matches!(self.letter, 'R' | 'P')
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.letter, self.value)
    }
}

/// The entries of the list, in its order.
pub(super) fn read(text: &str) -> Vec<Section> {
    let mut sections = Vec::<Section>::new();
    for (index, line) in text.lines().enumerate() {
        let heading = line.strip_prefix("### ").and_then(Number::read);
        if let Some((number, _)) = heading {
            sections.push(Section { number, line: index + 1, exceptions: Vec::new() });
        } else if let (Some(section), Some(exception)) = (sections.last_mut(), exception(line)) {
            section.exceptions.push(exception);
        }
    }
    sections
}

fn exception(line: &str) -> Option<Exception> {
    let (to, reason) = line.strip_prefix("Exception (")?.split_once("):")?;
    let to = [Where::Code, Where::Test].into_iter().find(|it| it.word() == to)?;
    Some(Exception { to, reason: reason.trim().to_owned() })
}

/// Numbers that are out of order or there twice; and those after one that is missing. Promises are
/// numbered when they are planned, and kept in any order.
pub(super) fn out_of_order(document: &str, sections: &[Section]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let letters: BTreeSet<char> = sections.iter().map(|it| it.number.letter).collect();
    for letter in letters {
        let mut next = 1;
        let of_letter = sections.iter().filter(|section| section.number.letter == letter);
        for Section { number, line, .. } in of_letter {
            let in_order = match letter {
                'P' => number.value >= next,
                _ => number.value == next,
            };
            if !in_order {
                findings.push(Finding::new(
                    format!("{document}:{line}"),
                    Number { letter, value: next }.to_string(),
                    number.to_string(),
                    "give every number one section, in order, and all but promises without a gap",
                ));
            }
            next = number.value + 1;
        }
    }
    findings
}
