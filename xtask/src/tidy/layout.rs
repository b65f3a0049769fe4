//! Rules about the shape of the repository: folders, manifests, what lies where.

use std::collections::BTreeMap;

use super::{Facts, Finding};

/// What may lie in the root beside dotfiles.
const TOP_LEVEL: [&str; 16] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "SECURITY.md",
    "_typos.toml",
    "benches",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "rustfmt.toml",
    "xtask",
];

/// The fields of a package that are the same everywhere and said once, in the root.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "repository"];

/// A crate's folder bears its name, but for the project's prefix, and its manifest repeats nothing
/// that the root says.
pub(super) fn crates_inherit_what_is_shared(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &facts.packages {
        let folder = &package.folder;
        let name = package.name.strip_prefix("sync-replicas-").unwrap_or(&package.name);
        if folder.rsplit('/').next() != Some(name) {
            findings.push(Finding::new(
                folder,
                "a folder that bears its crate's name",
                format!("the crate `{}`", package.name),
                "rename one of the two",
            ));
        }
        if folder.starts_with("crates/") && !facts.tree.has(&format!("{folder}/README.md")) {
            findings.push(Finding::new(
                folder,
                "a README.md",
                "none",
                "say there what the crate is, with ten lines that use it",
            ));
        }
        let path = format!("{folder}/Cargo.toml");
        let manifest = facts.tree.text(&path).unwrap_or_default();
        for field in INHERITED.iter().filter(|field| !inherits(manifest, "package", field)) {
            findings.push(Finding::new(
                &path,
                format!("`{field}.workspace = true` under [package]"),
                "a manifest without it",
                "say it once, in [workspace.package] of the root",
            ));
        }
        if !inherits(manifest, "", "lints") {
            findings.push(Finding::new(
                &path,
                "`workspace = true` under [lints]",
                "a manifest without it",
                "inherit the workspace's lints",
            ));
        }
    }
    findings
}

/// One integration binary a crate: linking is what makes tests slow.
pub(super) fn one_integration_binary_a_crate(facts: &Facts) -> Vec<Finding> {
    let tests = facts.packages.iter().flat_map(|package| {
        let tests = package.targets.iter().filter(|target| target.kind == "test");
        tests.map(move |target| (package, target))
    });
    tests
        .filter(|(package, target)| target.source != format!("{}/tests/it/main.rs", package.folder))
        .map(|(_, target)| {
            Finding::new(
                &target.source,
                "tests/it/main.rs as the crate's only integration test",
                format!("one more, `{}`", target.name),
                "make it a module of tests/it/main.rs",
            )
        })
        .collect()
}

/// Cargo puts all examples into one folder, where two of one name overwrite each other.
pub(super) fn example_names_are_distinct(facts: &Facts) -> Vec<Finding> {
    let mut owners = BTreeMap::new();
    let mut findings = Vec::new();
    let targets = facts.packages.iter().flat_map(|package| &package.targets);
    for target in targets.filter(|target| target.kind == "example") {
        if let Some(first) = owners.insert(&target.name, &target.source) {
            findings.push(Finding::new(
                &target.source,
                "an example name that no other crate uses",
                format!("the name of {first}"),
                "rename one of the two",
            ));
        }
    }
    findings
}

/// Whoever has Rust can build; a toolchain file would make rustup download another one.
pub(super) fn no_toolchain_file(facts: &Facts) -> Vec<Finding> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    facts
        .tree
        .paths()
        .filter(|path| ["rust-toolchain", "rust-toolchain.toml"].contains(&name(path).as_str()))
        .map(|path| {
            Finding::new(
                path,
                "no file that picks a toolchain",
                "one",
                "delete it; what must hold is `rust-version` in the root manifest",
            )
        })
        .collect()
}

/// The root stays short enough to be taken in at a glance.
pub(super) fn top_level_is_known(facts: &Facts) -> Vec<Finding> {
    let mut entries: Vec<_> =
        facts.tree.paths().filter_map(|path| path.split('/').next()).collect();
    entries.dedup();
    entries
        .into_iter()
        .filter(|entry| !entry.starts_with('.') && !TOP_LEVEL.contains(entry))
        .map(|entry| {
            Finding::new(
                entry,
                format!("in the root only dotfiles and {TOP_LEVEL:?}"),
                "one more entry",
                "move it into one of these folders",
            )
        })
        .collect()
}

/// Whether `key` of the table `section` (empty: of the file itself) is left to the workspace.
///
/// Knows the three ways in which TOML can say so, and is no TOML parser beyond that.
fn inherits(manifest: &str, section: &str, key: &str) -> bool {
    let own_section = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    let mut current = String::new();
    for line in manifest.lines() {
        let line: String = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            current = name.to_owned();
        }
        let in_place = current == section
            && (line == format!("{key}.workspace=true")
                || line == format!("{key}={{workspace=true}}"));
        if in_place || (current == own_section && line == "workspace=true") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
