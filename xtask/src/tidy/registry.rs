//! Rules about packages that are made for a registry: what it and its documentation site show.
//!
//! Cargo packs without most of this, and crates.io drops a category that it does not know.

use super::{Facts, Finding};
use crate::{
    publish::registry_name,
    workspace::{Kind, Package},
};

/// The registry's categories that there are packages for, by the slugs that it has for them.
const CATEGORIES: [&str; 11] = [
    "algorithms",
    "asynchronous",
    "command-line-utilities",
    "concurrency",
    "data-structures",
    "development-tools",
    "encoding",
    "mathematics",
    "network-programming",
    "science",
    "simulation",
];

/// As many words as the registry takes, and as many bytes of each.
const KEYWORDS: (usize, usize) = (5, 20);

/// What has the documentation site say which feature an item needs.
const SHOW_FEATURES: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]";

/// A published package says what it is, where it belongs and where to read on.
pub(super) fn packages_say_what_they_are(facts: &Facts) -> Vec<Finding> {
    published(facts).flat_map(|package| fields(package).into_iter().chain(words(package))).collect()
}

/// The fields that hold one text each.
fn fields(package: &Package) -> Vec<Finding> {
    let shown = &package.shown;
    let documentation = format!("https://docs.rs/{}", registry_name(&package.name));
    let sentence = shown.description.as_deref().filter(|text| !text.is_empty());
    let texts = [
        ("description", "a sentence", shown.description.as_deref(), sentence.is_some()),
        ("homepage", "the workspace's", shown.homepage.as_deref(), shown.homepage.is_some()),
        (
            "documentation",
            &documentation,
            shown.documentation.as_deref(),
            shown.documentation.as_deref() == Some(&documentation),
        ),
        (
            "readme",
            "README.md",
            shown.readme.as_deref(),
            shown.readme.as_deref() == Some("README.md"),
        ),
    ];
    let wrong = texts.into_iter().filter(|&(.., is_right)| !is_right);
    wrong
        .map(|(field, expected, came, _)| {
            Finding::new(
                manifest(package),
                format!("{expected} as `{field}`"),
                format!("{:?}", came.unwrap_or("none")),
                "say it under [package], or `publish = false` if nobody is to depend on it",
            )
        })
        .collect()
}

/// The words and categories under which it is found.
fn words(package: &Package) -> Vec<Finding> {
    let (most, longest) = KEYWORDS;
    let (keywords, categories) = (&package.shown.keywords, &package.shown.categories);
    let is_word = |word: &&String| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        word.len() <= longest && word.bytes().all(allowed)
    };
    let mut findings = Vec::new();
    if !(1..=most).contains(&keywords.len()) || !keywords.iter().all(|word| is_word(&word)) {
        findings.push(Finding::new(
            manifest(package),
            format!("1 to {most} `keywords` in lower case of at most {longest} bytes"),
            format!("{keywords:?}"),
            "take words that people search for",
        ));
    }
    if categories.is_empty() || !categories.iter().all(|it| CATEGORIES.contains(&it.as_str())) {
        findings.push(Finding::new(
            manifest(package),
            format!("`categories` out of {CATEGORIES:?}"),
            format!("{categories:?}"),
            "take some of these, or add another of https://crates.io/category_slugs to the table",
        ));
    }
    findings
}

/// Where a package has features, its documentation shows what they bring.
pub(super) fn features_are_shown(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in published(facts).filter(|package| package.shown.has_features) {
        if !package.shown.says_features {
            findings.push(Finding::new(
                manifest(package),
                "`all-features = true` or `features` under [package.metadata.docs.rs]",
                "neither",
                "say with which features the documentation site builds",
            ));
        }
        let library = format!("{}/src/lib.rs", package.folder);
        let text = facts.tree.text(&library).unwrap_or_default();
        if !text.lines().any(|line| line == SHOW_FEATURES) {
            findings.push(Finding::new(
                library,
                format!("`{SHOW_FEATURES}`"),
                "none",
                "add it below the crate's documentation",
            ));
        }
    }
    findings
}

/// A package brings nothing that does not work there: no dependency that the registry lacks, and no
/// tests, which look at what lies around their package.
pub(super) fn packages_stand_alone(facts: &Facts) -> Vec<Finding> {
    let is_kept = |name: &str| facts.packages.iter().any(|it| it.name == name && !it.published);
    let mut findings = Vec::new();
    for package in published(facts) {
        let needed = package.dependencies.iter().filter(|it| it.kind != Kind::Dev);
        for dependency in needed.filter(|it| is_kept(&it.name)) {
            findings.push(Finding::new(
                manifest(package),
                "of the workspace's crates only published ones, tests aside",
                format!("`{}`", dependency.name),
                "publish that one too, or move what is needed",
            ));
        }
        let text = facts.tree.text(&manifest(package)).unwrap_or_default();
        let excludes = |line: &str| line.starts_with("exclude = [") && line.contains("\"/tests\"");
        if facts.tree.has(&format!("{}/tests", package.folder)) && !text.lines().any(excludes) {
            findings.push(Finding::new(
                manifest(package),
                "`exclude = [\"/tests\"]`",
                "a package with its tests",
                "leave them out: they read what only the repository has",
            ));
        }
    }
    findings
}

fn published(facts: &Facts) -> impl Iterator<Item = &Package> {
    facts.packages.iter().filter(|package| package.published)
}

fn manifest(package: &Package) -> String {
    format!("{}/Cargo.toml", package.folder)
}

#[cfg(test)]
mod tests;
