//! Slurm's short way to write many host names: `node[001-004,7],other`.
//!
//! Only what Slurm puts into a job's environment; not its wider syntax of sizes and steps.
//! Invariant: garbage is refused, and no short text grows into more than `MAX_PROCESSES` names.

use super::{MAX_PROCESSES, SpecError};

/// The names, in the order in which Slurm numbers its nodes: of several brackets in a name the last
/// runs fastest.
pub(super) fn expand(variable: &'static str, text: &str) -> Result<Vec<String>, SpecError> {
    let refuse = || {
        let expected = "host names such as node[001-004,7],other";
        SpecError::invalid(variable, expected, text)
    };
    let mut names = Vec::new();
    for item in split(text).ok_or_else(refuse)? {
        names.extend(expand_item(item).ok_or_else(refuse)?);
        if names.len() as u64 > MAX_PROCESSES {
            return Err(refuse());
        }
    }
    Ok(names)
}

/// At the commas that are not in brackets; `None` when brackets do not pair.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match (byte, inside) {
            (b'[', false) => inside = true,
            (b']', true) => inside = false,
            (b'[' | b']', _) => return None,
            (b',', false) => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&text[start..]);
    (!inside).then_some(items)
}

/// The longest host name; checked before it is repeated for every number of a bracket.
const MAX_NAME: usize = 253;

fn expand_item(item: &str) -> Option<Vec<String>> {
    let mut names = vec![String::new()];
    let mut rest = item;
    while let Some((literal, bracket)) = rest.split_once('[') {
        let (ranges, after) = bracket.split_once(']')?;
        let numbers = expand_ranges(ranges)?;
        let longest = names.first().map_or(0, String::len) + literal.len();
        if longest > MAX_NAME {
            return None;
        }
        if names.len().checked_mul(numbers.len())? as u64 > MAX_PROCESSES {
            return None;
        }
        names = names
            .iter()
            .flat_map(|name| numbers.iter().map(move |number| format!("{name}{literal}{number}")))
            .collect();
        rest = after;
    }
    if rest.len() > MAX_NAME {
        return None;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let good = |name: &String| !name.is_empty() && name.bytes().all(letter);
    names.iter().all(good).then_some(names)
}

fn expand_ranges(ranges: &str) -> Option<Vec<String>> {
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let width = first.len();
        let (first, last) = (number(first)?, number(last)?);
        let room = MAX_PROCESSES - numbers.len() as u64;
        if first > last || last - first >= room {
            return None;
        }
        numbers.extend((first..=last).map(|number| format!("{number:0width$}")));
    }
    Some(numbers)
}

/// `parse` alone would take a sign. The width is bounded because padding repeats it for every name.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
