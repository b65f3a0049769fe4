//! Rules about who may depend on whom, read from the manifests.

use super::{Facts, Finding, PILLARS};
use crate::{
    programs::CANDLE,
    workspace::{Dependency, Kind, Package},
};

/// The decisions, between the pillars and what carries them out.
const ENGINE: &str = "engine";

/// The floor above the pillars, which composes them.
const COMPOSITION: &str = "sync-replicas";

/// For each crate that is no pillar, the crates of the workspace that it may depend on.
const ALLOWED: [(&str, &[&str]); 15] = [
    (ENGINE, &["accum-core", "token-queue"]),
    (
        COMPOSITION,
        &[
            "accum-core",
            "embedding-table",
            ENGINE,
            "hooks",
            "optim",
            "spin-park",
            "testing",
            "token-queue",
        ],
    ),
    ("simulator", &["accum-core", ENGINE, "testing"]),
    ("fault-sim", &["accum-core", "cluster", ENGINE, "optim", COMPOSITION, "simulator"]),
    ("cluster", &["accum-core", "hooks", "optim", "testing", "token-queue", COMPOSITION]),
    ("tabular", &[COMPOSITION, "testing"]),
    (CANDLE, &["benches", "cluster", "optim", COMPOSITION, "tabular"]),
    ("cli", &["hooks", "optim", COMPOSITION, "cluster", "simulator", "tabular"]),
    ("python", &["accum-core", "cli", "cluster", "hooks", "optim", "token-queue", COMPOSITION]),
    (
        "benches",
        &[
            "accum-core",
            "embedding-table",
            "hooks",
            "optim",
            "token-queue",
            COMPOSITION,
            "cluster",
            "simulator",
        ],
    ),
    (
        "conformance",
        &["accum-core", "hooks", "optim", "testing", "token-queue", COMPOSITION, "cluster"],
    ),
    ("models", &["accum-core", "embedding-table", ENGINE, "hooks", "token-queue"]),
    ("spin-park", &[]),
    ("testing", &["optim", COMPOSITION]),
    ("xtask", &[]),
];

/// The features of tokio that each crate below the cluster may ask for, its tests aside.
///
/// `rt` is what it takes to start a runner; only the composition starts one.
const TOKIO: [(&str, &[&str]); 5] = [
    ("accum-core", &["sync"]),
    ("hooks", &[]),
    ("optim", &[]),
    ("token-queue", &["sync"]),
    (COMPOSITION, &["rt", "sync"]),
];

/// The families of crates that speak gRPC: each of these, and whatever is named `tonic-…`.
const GRPC: [&str; 4] = ["h2", "hyper", "prost", "tonic"];

/// Pillars are used one by one, so none depends on another, not even in its tests.
pub(super) fn pillars_do_not_know_each_other(facts: &Facts) -> Vec<Finding> {
    let edges = pillars(facts).flat_map(|package| {
        package.dependencies.iter().map(move |dependency| (package, dependency))
    });
    edges
        .filter(|(_, dependency)| PILLARS.contains(&dependency.name.as_str()))
        .map(|(package, dependency)| {
            Finding::new(
                manifest(package),
                "no edge between pillars of any kind",
                edge(dependency),
                "compose the two one floor up, in sync-replicas",
            )
        })
        .collect()
}

/// Above the pillars, dependencies go down the floors; on a program depends only what brings it.
pub(super) fn crates_depend_downwards(facts: &Facts) -> Vec<Finding> {
    let members: Vec<_> = facts.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in facts.packages.iter().filter(|it| !PILLARS.contains(&it.name.as_str())) {
        let Some(allowed) = listed(&ALLOWED, &package.name) else {
            findings.push(Finding::new(
                manifest(package),
                "a crate with a place in the layers",
                format!("`{}`, which has none", package.name),
                "say in the table of xtask/src/tidy/layers.rs what it may depend on",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if members.contains(&name) && !allowed.contains(&name) {
                findings.push(Finding::new(
                    manifest(package),
                    format!("of the workspace's crates only {allowed:?}"),
                    edge(dependency),
                    "move what is needed to a lower floor, or hand it in",
                ));
            }
        }
    }
    findings
}

/// Below the cluster, tokio lends its locks and wakers; whoever calls brings the runtime.
pub(super) fn tokio_only_for_its_sync_part(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &facts.packages {
        let Some(allowed) = listed(&TOKIO, &package.name) else { continue };
        let asked = package
            .dependencies
            .iter()
            .filter(|it| it.name == "tokio" && it.kind != Kind::Dev)
            .flat_map(|it| it.features.iter().map(String::as_str));
        let turned_on = package.turned_on.iter().filter_map(|it| {
            let (name, feature) = it.split_once('/')?;
            (name.trim_end_matches('?') == "tokio").then_some(feature)
        });
        for feature in asked.chain(turned_on).filter(|feature| !allowed.contains(feature)) {
            findings.push(Finding::new(
                manifest(package),
                format!("of tokio's features only {allowed:?}, tests aside"),
                format!("`{feature}`"),
                "let the caller bring the runtime, or ask for it in dev-dependencies",
            ));
        }
    }
    findings
}

/// Below the cluster nothing knows gRPC, not even through somebody else.
pub(super) fn no_grpc_below_the_cluster(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let below = facts.packages.iter().filter(|it| listed(&TOKIO, &it.name).is_some());
    for package in below {
        let direct = package.dependencies.iter().map(|it| &it.name);
        let mut named: Vec<_> =
            direct.chain(&package.closure).filter(|name| speaks_grpc(name)).collect();
        named.sort();
        named.dedup();
        for name in named {
            findings.push(Finding::new(
                manifest(package),
                "no gRPC below the cluster, directly or not",
                format!("`{name}`"),
                "find who brings it with `cargo tree -i`, and move that use to the cluster",
            ));
        }
    }
    findings
}

/// Who uses a pillar without serde does not build serde.
pub(super) fn serde_is_optional_in_pillars(facts: &Facts) -> Vec<Finding> {
    let is_forced = |it: &&Dependency| it.name == "serde" && it.kind != Kind::Dev && !it.optional;
    pillars(facts)
        .filter(|package| package.dependencies.iter().find(is_forced).is_some())
        .map(|package| {
            Finding::new(
                manifest(package),
                "serde as an optional dependency behind the feature `serde`",
                "one that is always there",
                "add `optional = true` and `serde = [\"dep:serde\"]` under [features]",
            )
        })
        .collect()
}

fn pillars(facts: &Facts) -> impl Iterator<Item = &Package> {
    facts.packages.iter().filter(|package| PILLARS.contains(&package.name.as_str()))
}

fn listed<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(it, _)| *it == name).map(|(_, allowed)| *allowed)
}

fn speaks_grpc(name: &str) -> bool {
    let family = name.split(['-', '_']).next().unwrap_or(name);
    GRPC.contains(&family)
}

fn manifest(package: &Package) -> String {
    format!("{}/Cargo.toml", package.folder)
}

fn edge(dependency: &Dependency) -> String {
    let kind = match dependency.kind {
        Kind::Normal => "dependency",
        Kind::Build => "build dependency",
        Kind::Dev => "dev dependency",
    };
    format!("the {kind} `{}`", dependency.name)
}

#[cfg(test)]
mod tests;
