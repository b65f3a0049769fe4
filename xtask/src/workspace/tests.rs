//! Reads a small answer of cargo's, written by hand.

use super::*;

/// Two members, `a` and `b`; `a` needs `far` by way of `near`, and `tester` for its tests only.
const METADATA: &str = r#"{
  "workspace_root": "/repo", "target_directory": "/elsewhere/target",
  "workspace_members": ["id-a", "id-b"],
  "packages": [
    {"id": "id-a", "name": "a", "manifest_path": "/repo/crates/a/Cargo.toml",
     "publish": null, "description": "An a", "keywords": ["k"],
     "metadata": {"docs": {"rs": {"all-features": true}}},
     "dependencies": [
       {"name": "near", "kind": null, "optional": true, "features": ["x", "y"]},
       {"name": "tester", "kind": "dev", "optional": false, "features": []}],
     "features": {"default": [], "more": ["dep:near", "near/z"]},
     "targets": [
       {"kind": ["example"], "name": "ten", "src_path": "/repo/crates/a/examples/ten.rs"}]},
    {"id": "id-b", "name": "b", "manifest_path": "/repo/b/Cargo.toml",
     "publish": [], "metadata": null,
     "dependencies": [{"name": "near", "kind": "build", "optional": false, "features": []}],
     "targets": []},
    {"id": "id-near", "name": "near"}, {"id": "id-far", "name": "far"},
    {"id": "id-tester", "name": "tester"}],
  "resolve": {"nodes": [
    {"id": "id-a", "deps": [
      {"pkg": "id-near", "dep_kinds": [{"kind": null}]},
      {"pkg": "id-tester", "dep_kinds": [{"kind": "dev"}]}]},
    {"id": "id-b", "deps": [{"pkg": "id-near", "dep_kinds": [{"kind": "dev"}, {"kind": "build"}]}]},
    {"id": "id-near", "deps": [{"pkg": "id-far", "dep_kinds": [{"kind": null}]}]},
    {"id": "id-far", "deps": []}, {"id": "id-tester", "deps": []}]}
}"#;

#[test]
fn keeps_the_members_and_what_their_manifests_say() {
    let workspace = Workspace::parse(METADATA).expect("well-formed");
    assert_eq!(workspace.target_dir, Path::new("/elsewhere/target"));
    let [a, b] = &workspace.packages[..] else { panic!("two members") };
    assert_eq!((a.name.as_str(), a.folder.as_str()), ("a", "crates/a"));
    assert_eq!((b.name.as_str(), b.folder.as_str()), ("b", "b"));
    assert_eq!(a.dependencies[0].kind, Kind::Normal);
    assert!(a.dependencies[0].optional);
    assert_eq!(a.dependencies[0].features, ["x", "y"]);
    assert_eq!(a.dependencies[1].kind, Kind::Dev);
    assert_eq!(b.dependencies[0].kind, Kind::Build);
    assert_eq!(a.turned_on, ["dep:near", "near/z"]);
    assert_eq!(a.targets[0].source, "crates/a/examples/ten.rs");
}

#[test]
fn knows_what_is_published_and_what_is_shown_of_it() {
    let workspace = Workspace::parse(METADATA).expect("well-formed");
    let [a, b] = &workspace.packages[..] else { panic!("two members") };
    assert_eq!((a.published, b.published), (true, false));
    assert_eq!(a.shown.description.as_deref(), Some("An a"));
    assert_eq!((a.shown.homepage.as_deref(), &a.shown.keywords[..]), (None, &["k".to_owned()][..]));
    assert_eq!((a.shown.has_features, a.shown.says_features), (true, true));
    assert_eq!((b.shown.has_features, b.shown.says_features), (false, false));
}

#[test]
fn the_closure_goes_all_the_way_and_leaves_out_what_only_tests_need() {
    let workspace = Workspace::parse(METADATA).expect("well-formed");
    for package in &workspace.packages {
        let closure: Vec<_> = package.closure.iter().collect();
        assert_eq!(closure, ["far", "near"], "{}", package.name);
    }
}

#[test]
fn an_answer_without_a_part_says_which() {
    let error = Workspace::parse(r#"{"workspace_root": "/repo"}"#).err().expect("not whole");
    assert_eq!(error.to_string(), "cargo metadata gives no list `workspace_members`");
}
