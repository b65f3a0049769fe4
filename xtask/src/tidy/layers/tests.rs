//! Each rule about layers is shown manifests that break it, and ones that nearly do.

use super::*;
use crate::tidy::tests::{check, needs, package};

/// A workspace in which `from` has these dependencies, beside empty crates of the other names.
fn workspace(from: &str, dependencies: Vec<Dependency>) -> Facts {
    let names = [
        PILLARS.as_slice(),
        &["sync-replicas", "simulator", "cli", "conformance", "models", "benches"],
    ]
    .concat();
    let mut packages: Vec<_> =
        names.iter().filter(|name| **name != from).map(|name| package(name)).collect();
    packages.insert(0, Package { dependencies, ..package(from) });
    Facts { packages, ..Facts::default() }
}

fn tokio(features: &[&str], kind: Kind) -> Dependency {
    let features = features.iter().map(|it| (*it).to_owned()).collect();
    Dependency { features, ..needs("tokio", kind) }
}

#[test]
fn an_edge_between_pillars_is_found_whatever_its_kind() {
    for (kind, came) in [
        (Kind::Normal, "crates/optim/Cargo.toml: the dependency `hooks`"),
        (Kind::Build, "crates/optim/Cargo.toml: the build dependency `hooks`"),
        (Kind::Dev, "crates/optim/Cargo.toml: the dev dependency `hooks`"),
    ] {
        let facts = workspace("optim", vec![needs("ndarray", kind), needs("hooks", kind)]);
        check(pillars_do_not_know_each_other, &facts, &[came]);
        // The pillars' own rule reports it, and no other does it again.
        check(crates_depend_downwards, &facts, &[]);
    }
    let facts = workspace("sync-replicas", vec![needs("hooks", Kind::Normal)]);
    check(pillars_do_not_know_each_other, &facts, &[]);
}

#[test]
fn an_edge_upwards_or_to_a_program_is_found() {
    for (from, to, came) in [
        ("sync-replicas", "cli", &["crates/sync-replicas/Cargo.toml: the dependency `cli`"][..]),
        ("sync-replicas", "optim", &[]),
        ("sync-replicas", "ndarray", &[]),
        ("cli", "sync-replicas", &[]),
        ("cli", "simulator", &[]),
        ("simulator", "cli", &["crates/simulator/Cargo.toml: the dependency `cli`"]),
        ("cli", "benches", &["crates/cli/Cargo.toml: the dependency `benches`"]),
        ("benches", "cli", &["crates/benches/Cargo.toml: the dependency `cli`"]),
        ("conformance", "sync-replicas", &[]),
        ("conformance", "cli", &["crates/conformance/Cargo.toml: the dependency `cli`"]),
        ("cli", "conformance", &["crates/cli/Cargo.toml: the dependency `conformance`"]),
        ("xtask", "optim", &["crates/xtask/Cargo.toml: the dependency `optim`"]),
    ] {
        check(crates_depend_downwards, &workspace(from, vec![needs(to, Kind::Normal)]), came);
    }
}

#[test]
fn a_crate_without_a_place_is_found() {
    let came = ["crates/more/Cargo.toml: `more`, which has none"];
    check(crates_depend_downwards, &workspace("more", vec![]), &came);
}

#[test]
fn more_of_tokio_than_its_sync_part_is_found() {
    for (from, features, kind, came) in [
        ("accum-core", &["sync"][..], Kind::Normal, &[][..]),
        ("accum-core", &["sync", "rt"], Kind::Normal, &["crates/accum-core/Cargo.toml: `rt`"]),
        ("accum-core", &["rt", "time"], Kind::Dev, &[]),
        ("optim", &["sync"], Kind::Normal, &["crates/optim/Cargo.toml: `sync`"]),
        ("sync-replicas", &["sync", "rt"], Kind::Normal, &[]),
        ("sync-replicas", &["net"], Kind::Build, &["crates/sync-replicas/Cargo.toml: `net`"]),
        ("cli", &["full"], Kind::Normal, &[]),
    ] {
        let facts = workspace(from, vec![tokio(features, kind)]);
        check(tokio_only_for_its_sync_part, &facts, came);
    }
}

#[test]
fn a_feature_that_turns_on_more_of_tokio_is_found() {
    let mut facts = workspace("accum-core", vec![]);
    let turned_on = ["dep:serde", "tokio/sync", "tokio?/time", "tokio-util/rt"];
    facts.packages[0].turned_on = turned_on.map(str::to_owned).to_vec();
    check(tokio_only_for_its_sync_part, &facts, &["crates/accum-core/Cargo.toml: `time`"]);
}

#[test]
fn grpc_is_found_below_the_cluster_however_it_came() {
    for (from, to, came) in [
        ("hooks", "tonic", &["crates/hooks/Cargo.toml: `tonic`"][..]),
        ("sync-replicas", "tonic-build", &["crates/sync-replicas/Cargo.toml: `tonic-build`"]),
        ("sync-replicas", "half", &[]),
        ("cli", "tonic", &[]),
    ] {
        check(no_grpc_below_the_cluster, &workspace(from, vec![needs(to, Kind::Dev)]), came);
    }
    let mut facts = workspace("optim", vec![needs("client", Kind::Normal)]);
    facts.packages[0].closure = ["client", "h2", "bytes"].map(str::to_owned).into();
    check(no_grpc_below_the_cluster, &facts, &["crates/optim/Cargo.toml: `h2`"]);
}

#[test]
fn serde_that_cannot_be_left_out_of_a_pillar_is_found() {
    let came = ["crates/hooks/Cargo.toml: one that is always there"];
    let with = |from, dependency| workspace(from, vec![dependency]);
    let forced = || needs("serde", Kind::Normal);
    check(serde_is_optional_in_pillars, &with("hooks", forced()), &came);
    let by_choice = Dependency { optional: true, ..forced() };
    check(serde_is_optional_in_pillars, &with("hooks", by_choice), &[]);
    check(serde_is_optional_in_pillars, &with("hooks", needs("serde", Kind::Dev)), &[]);
    check(serde_is_optional_in_pillars, &with("sync-replicas", forced()), &[]);
}
