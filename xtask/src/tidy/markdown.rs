//! Rules about Markdown documents: titles, and links within the repository.
//!
//! Reads what the project writes (ATX headings, fenced code, inline and reference links), not all
//! of Markdown.

use super::{Facts, Finding};

/// A document has a title, and one.
pub(super) fn one_title_a_document(facts: &Facts) -> Vec<Finding> {
    let counted = facts
        .tree
        .texts(".md")
        .map(|(path, text)| (path, prose(text).filter(|(_, line)| line.starts_with("# ")).count()));
    counted
        .filter(|(_, titles)| *titles != 1)
        .map(|(path, titles)| {
            Finding::new(
                path,
                "one line that starts with `# `",
                titles.to_string(),
                "give the document one title and its sections `## `",
            )
        })
        .collect()
}

/// A link to a file of the repository leads to one that is there.
pub(super) fn links_lead_somewhere(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in facts.tree.texts(".md") {
        let targets = prose(text).flat_map(|(n, line)| {
            targets(&line).into_iter().map(move |target| (n, target)).collect::<Vec<_>>()
        });
        for (n, target) in targets.filter(|(_, target)| is_relative(target)) {
            let there = resolve(path, &target).is_some_and(|it| facts.tree.has(&it));
            if !there {
                findings.push(Finding::new(
                    format!("{path}:{n}"),
                    "a relative link to a file or folder of the repository",
                    format!("`{target}`"),
                    "mend the path, which counts from the document's own folder",
                ));
            }
        }
    }
    findings
}

/// The lines outside code, numbered from 1, without their code spans.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(_), _) if fence == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => return Some((index + 1, without_code_spans(line))),
        }
        None
    })
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Where the line's links lead: `[text](target "title")`, `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|it| it.0);
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .filter(|(name, _)| !name.contains(']'))
        .map(|(_, target)| target);
    inline
        .chain(definition)
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

/// Not an anchor in the same document, and not an address with a scheme (`https:`, `mailto:`).
fn is_relative(target: &str) -> bool {
    let scheme = target.split_once(':').is_some_and(|(scheme, rest)| {
        // Two colons make a Rust path, which leads nowhere on a page.
        scheme.chars().all(char::is_alphanumeric) && !rest.starts_with(':')
    });
    !scheme && !target.starts_with('#')
}

/// `target`, without its anchor, as a path from the root; nothing when it leads out of it.
fn resolve(document: &str, target: &str) -> Option<String> {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
