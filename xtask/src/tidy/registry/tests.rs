//! Each rule about published packages is shown one that breaks it.

use super::*;
use crate::{
    tidy::tests::{check, files, needs, package},
    workspace::Shown,
};

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A package with all that is asked for, as `change` leaves it.
fn published_one(change: impl FnOnce(&mut Package)) -> Facts {
    let mut one = Package { published: true, ..package("optim") };
    one.shown = Shown {
        description: Some("Optimizers".to_owned()),
        homepage: Some("https://example.org".to_owned()),
        documentation: Some("https://docs.rs/sync-replicas-optim".to_owned()),
        readme: Some("README.md".to_owned()),
        keywords: texts(&["adam"]),
        categories: texts(&["science"]),
        has_features: true,
        says_features: true,
    };
    change(&mut one);
    let mut facts = files([
        ("crates/optim/src/lib.rs", "//! Optimizers.\n\n#![cfg_attr(docsrs, feature(doc_cfg))]\n"),
        ("crates/optim/Cargo.toml", "[package]\nexclude = [\"/tests\", \"/data\"]\n"),
        ("crates/optim/tests/it/main.rs", ""),
    ]);
    facts.packages = vec![one, package("testing")];
    facts
}

#[test]
fn a_package_that_does_not_say_what_it_is_is_found() {
    #[track_caller]
    fn check_one(change: impl FnOnce(&mut Package), came: &[&str]) {
        check(packages_say_what_they_are, &published_one(change), came);
    }
    check_one(|_| (), &[]);
    check_one(|it| (it.published, it.shown) = (false, Shown::default()), &[]);
    let none = "crates/optim/Cargo.toml: \"none\"";
    let no_words = "crates/optim/Cargo.toml: []";
    check_one(|it| it.shown = Shown::default(), &[none, none, none, none, no_words, no_words]);
    check_one(
        |it| it.shown.documentation = Some("https://docs.rs/optim".to_owned()),
        &["crates/optim/Cargo.toml: \"https://docs.rs/optim\""],
    );
    check_one(|it| it.shown.keywords = texts(&["Adam"]), &["crates/optim/Cargo.toml: [\"Adam\"]"]);
    check_one(
        |it| it.shown.keywords = texts(&["a-keyword-of-21-bytes"]),
        &["crates/optim/Cargo.toml: [\"a-keyword-of-21-bytes\"]"],
    );
    check_one(
        |it| it.shown.keywords = texts(&["a", "b", "c", "d", "e", "f"]),
        &["crates/optim/Cargo.toml: [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]"],
    );
    check_one(
        |it| it.shown.categories = texts(&["science", "science::ml"]),
        &["crates/optim/Cargo.toml: [\"science\", \"science::ml\"]"],
    );
}

#[test]
fn features_that_the_documentation_would_hide_are_found() {
    check(features_are_shown, &published_one(|_| ()), &[]);
    let silent = published_one(|it| it.shown.says_features = false);
    check(features_are_shown, &silent, &["crates/optim/Cargo.toml: neither"]);
    let mut facts = published_one(|_| ());
    facts.tree.insert("crates/optim/src/lib.rs", Some("//! Optimizers.\n".to_owned()));
    check(features_are_shown, &facts, &["crates/optim/src/lib.rs: none"]);
    facts.packages[0].shown.has_features = false;
    check(features_are_shown, &facts, &[]);
}

#[test]
fn a_package_that_needs_what_only_the_repository_has_is_found() {
    let needing = |kind| published_one(|it| it.dependencies = vec![needs("testing", kind)]);
    check(packages_stand_alone, &needing(Kind::Dev), &[]);
    let came = ["crates/optim/Cargo.toml: `testing`"];
    check(packages_stand_alone, &needing(Kind::Normal), &came);
    let mut facts = published_one(|_| ());
    facts.tree.insert("crates/optim/Cargo.toml", Some("[package]\n".to_owned()));
    check(packages_stand_alone, &facts, &["crates/optim/Cargo.toml: a package with its tests"]);
}
