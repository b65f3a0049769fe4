//! Rules about Rust source files, read as text.

use super::{Facts, Finding};

const FILE_LINES_WARN: usize = 400;
const FILE_LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;

/// The reader learns first what a file is, before the first line of code.
pub(super) fn files_open_with_prose(facts: &Facts) -> Vec<Finding> {
    facts
        .tree
        .texts(".rs")
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, text)| {
            Finding::new(
                path,
                "a first line that starts with `//!`",
                format!("{:?}", text.lines().next().unwrap_or_default()),
                "say what the file is, what it is not, and its invariant",
            )
        })
        .collect()
}

/// A file holds one idea; a long one has a seam somewhere.
pub(super) fn files_are_short(facts: &Facts) -> Vec<Finding> {
    let measured = facts.tree.texts(".rs").map(|(path, text)| (path, text.lines().count()));
    measured
        .filter(|(_, lines)| *lines > FILE_LINES_WARN)
        .map(|(path, lines)| {
            let fails = lines > FILE_LINES_MAX;
            let most = if fails { FILE_LINES_MAX } else { FILE_LINES_WARN };
            let finding = Finding::new(
                path,
                format!("at most {most} lines"),
                lines.to_string(),
                "look for the seam and split the file there",
            );
            if fails { finding } else { finding.warning() }
        })
        .collect()
}

/// Two files side by side fit a screen; rustfmt leaves long strings and comments alone.
pub(super) fn lines_fit_the_page(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in facts.tree.texts(".rs") {
        for (index, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                findings.push(Finding::new(
                    format!("{path}:{}", index + 1),
                    format!("at most {COLUMNS_MAX} columns"),
                    columns.to_string(),
                    "break the line",
                ));
            }
        }
    }
    findings
}

/// The command line is written down without what is done with it: commands import it, it imports
/// no command.
pub(super) fn options_import_no_command(facts: &Facts) -> Vec<Finding> {
    let options = facts.tree.texts(".rs").filter(|(path, _)| {
        let rest = path.strip_prefix("crates/cli/src/args");
        rest.is_some_and(|rest| rest.starts_with(['.', '/']))
    });
    let mut findings = Vec::new();
    for (path, text) in options {
        for (index, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("crate::") && !code.contains("crate::args") {
                findings.push(Finding::new(
                    format!("{path}:{}", index + 1),
                    "nothing of the program but `crate::args`",
                    format!("`{}`", code.trim()),
                    "convert the options where they are used",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
