//! Rules about Rust source files, read as text.

use super::{
    Facts, Finding,
    source::{Source, line, words},
};

/// Crates that read no clock and start no thread, so that their results depend on inputs alone.
const CLOCKLESS: [&str; 2] = ["accum-core", "optim"];

/// How a clock, a thread or a runtime is named in code.
const CLOCKS_AND_THREADS: [&str; 9] = [
    "Instant",
    "SystemTime",
    "rayon::",
    "std::thread",
    "std::time",
    "thread::",
    "time::",
    "tokio::runtime",
    "tokio::spawn",
];

/// Files that may hold code the compiler cannot check, each with its reason beside it.
const UNSAFE_FILES: [&str; 0] = [];

const FILE_LINES_WARN: usize = 400;
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_WARN: usize = 70;
const COLUMNS_MAX: usize = 100;

/// The clockless crates stay so; their tests may do as they like.
pub(super) fn no_clock_and_no_thread(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in facts.tree.texts(".rs").filter(|(path, _)| is_clockless(path)) {
        let code = Source::new(text).code_without_tests();
        for name in CLOCKS_AND_THREADS {
            for at in words(&code, name) {
                // `std::time::x` is found once, by its longer name.
                if name.ends_with("::") && code[..at].ends_with("std::") {
                    continue;
                }
                findings.push(Finding::new(
                    place(path, &code, at),
                    "no clock, thread or runtime outside tests",
                    format!("`{name}`"),
                    "take time as an argument, and leave waiting to the caller",
                ));
            }
        }
    }
    findings
}

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

/// A function is read without scrolling.
pub(super) fn functions_fit_a_screen(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in facts.tree.texts(".rs") {
        for (line, name, lines) in Source::new(text).functions() {
            if lines > FUNCTION_LINES_WARN {
                let finding = Finding::new(
                    format!("{path}:{line}"),
                    format!("functions of at most {FUNCTION_LINES_WARN} lines"),
                    format!("{lines} in `{name}`"),
                    "give a part of it a name of its own",
                );
                findings.push(finding.warning());
            }
        }
    }
    findings
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

/// What is merged is finished, and no test is switched off.
pub(super) fn nothing_is_left_unfinished(facts: &Facts) -> Vec<Finding> {
    const IN_CODE: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
    const IN_COMMENTS: [&str; 4] = ["TODO", "FIXME", "todo!(", "unimplemented!("];
    let mut findings = Vec::new();
    for (path, text) in facts.tree.texts(".rs") {
        let Source { code, comments } = Source::new(text);
        for (part, marks) in [(&code, IN_CODE), (&comments, IN_COMMENTS)] {
            for mark in marks {
                findings.extend(words(part, mark).into_iter().map(|at| {
                    Finding::new(
                        place(path, part, at),
                        "finished work",
                        format!("`{mark}`"),
                        "finish it, or leave it out and open an issue",
                    )
                }));
            }
        }
    }
    findings
}

/// The compiler checks everything, save in the files listed by name.
pub(super) fn no_unsafe_code(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = facts.tree.texts(".rs").filter(|(path, _)| !UNSAFE_FILES.contains(path));
    for (path, text) in files {
        let Source { code, .. } = Source::new(text);
        findings.extend(words(&code, "unsafe").into_iter().map(|at| {
            Finding::new(
                place(path, &code, at),
                "no unsafe code",
                "`unsafe`",
                "write it safely; nothing here has needed more",
            )
        }));
    }
    findings
}

fn is_clockless(path: &str) -> bool {
    let is_source = CLOCKLESS.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    is_source && !is_test && !path.contains("/interleavings")
}

fn place(path: &str, text: &str, at: usize) -> String {
    format!("{path}:{}", line(text, at))
}

#[cfg(test)]
mod tests;
