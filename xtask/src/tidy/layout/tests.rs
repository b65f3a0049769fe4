//! Each rule about the repository's shape is shown one that breaks it.

use super::*;
use crate::{
    tidy::tests::{check, files, package},
    workspace::{Package, Target},
};

const MANIFEST: &str = "\
[package]
name = 'optim'
version.workspace = true
edition = { workspace = true } # another way to say it
rust-version.workspace = true
license.workspace = true
repository.workspace = true

[lints]
workspace = true
";

fn with_targets(targets: &[(&str, &str, &str)]) -> Facts {
    let target = |&(kind, name, source): &(&str, &str, &str)| Target {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source: source.to_owned(),
    };
    let targets = targets.iter().map(target).collect();
    Facts { packages: vec![Package { targets, ..package("optim") }], ..Facts::default() }
}

#[test]
fn a_manifest_that_repeats_or_forgets_what_is_shared_is_found() {
    #[track_caller]
    fn check_manifest(manifest: &str, came: &[&str]) {
        let mut facts =
            files([("crates/optim/README.md", ""), ("crates/optim/Cargo.toml", manifest)]);
        facts.packages = vec![package("optim")];
        check(crates_inherit_what_is_shared, &facts, came);
    }
    let without = ["crates/optim/Cargo.toml: a manifest without it"];
    check_manifest(MANIFEST, &[]);
    check_manifest(&MANIFEST.replace("license.workspace = true", "license = 'MIT'"), &without);
    check_manifest(&MANIFEST.replace("version.workspace = true", "# version"), &[without[0]; 2]);
    check_manifest(&MANIFEST.replace("[lints]", "[other]"), &without);
    check_manifest(&MANIFEST.replace("[lints]\nworkspace", "[lints]\n# workspace"), &without);
    check_manifest(&MANIFEST.replace("[package]", "[else]"), &[without[0]; 5]);
}

#[test]
fn a_crate_in_the_wrong_folder_or_without_a_readme_is_found() {
    let mut facts = files([("crates/optim/Cargo.toml", MANIFEST), ("bench/Cargo.toml", MANIFEST)]);
    facts.packages = vec![
        package("optim"),
        Package { name: "benches".to_owned(), folder: "bench".to_owned(), ..Package::default() },
    ];
    let came = ["crates/optim: none", "bench: the crate `benches`"];
    check(crates_inherit_what_is_shared, &facts, &came);
}

#[test]
fn a_second_integration_binary_is_found() {
    let facts = with_targets(&[
        ("lib", "optim", "crates/optim/src/lib.rs"),
        ("test", "it", "crates/optim/tests/it/main.rs"),
        ("test", "more", "crates/optim/tests/more.rs"),
    ]);
    let came = ["crates/optim/tests/more.rs: one more, `more`"];
    check(one_integration_binary_a_crate, &facts, &came);
}

#[test]
fn an_example_name_used_twice_is_found() {
    let facts = with_targets(&[
        ("example", "first", "crates/a/examples/first.rs"),
        ("example", "other", "crates/a/examples/other.rs"),
        ("bin", "first", "crates/a/src/main.rs"),
        ("example", "first", "crates/b/examples/first.rs"),
    ]);
    let came = ["crates/b/examples/first.rs: the name of crates/a/examples/first.rs"];
    check(example_names_are_distinct, &facts, &came);
}

#[test]
fn a_toolchain_file_is_found_anywhere() {
    let facts = files([("rust-toolchain.toml", ""), ("crates/a/rust-toolchain", ""), ("a.rs", "")]);
    check(no_toolchain_file, &facts, &["crates/a/rust-toolchain: one", "rust-toolchain.toml: one"]);
}

#[test]
fn an_unknown_entry_in_the_root_is_found_once() {
    let facts = files([
        (".ci/run", ""),
        ("Cargo.toml", ""),
        ("docs/a.md", ""),
        ("misc/a", ""),
        ("misc/b", ""),
        ("notes.txt", ""),
    ]);
    check(top_level_is_known, &facts, &["misc: one more entry", "notes.txt: one more entry"]);
}
