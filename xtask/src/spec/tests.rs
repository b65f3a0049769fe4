//! Each failure is seen: a list, code and tests that break one rule at a time, or nearly do.

use super::*;

fn tree<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        tree.insert(path, Some(text.to_owned()));
    }
    tree
}

/// What is found, each as `place: came`.
fn said(findings: Vec<Finding>) -> Vec<String> {
    findings.into_iter().map(|it| format!("{}: {}", it.place, it.came)).collect()
}

/// Whether the list alone is in order.
#[track_caller]
fn check_list(list: &str, expected: &[&str]) {
    assert_eq!(said(numbers::out_of_order(SPEC, &numbers::read(list))), expected);
}

#[test]
fn numbers_go_up_and_those_of_rules_by_one() {
    check_list("### R-1 a\n### R-2 b\n### P-1 c\n## more\n### R-3 d\n", &[]);
    check_list("### R-1 a\n### R-3 b\n### R-4 c\n", &["docs/spec.md:2: R-3"]);
    check_list("### R-1 a\n### R-1 b\n", &["docs/spec.md:2: R-1"]);
    check_list("### R-1\n### P-2\n### P-9\n", &[]);
    check_list("### P-2\n### P-2\n### P-1\n", &["docs/spec.md:2: P-2", "docs/spec.md:3: P-1"]);
    check_list("### Rules\n### R\n### Q-1 a\n## R-9\nR-9\n", &[]);
    check_list("### Q-1 a\n### Q-3 b\n", &["docs/spec.md:2: Q-3"]);
}

/// What a list and the files beside it disagree about.
#[track_caller]
fn check(list: &str, files: &[(&str, &str)], expected: &[&str]) {
    let sections = numbers::read(list);
    let citations = citations::all(&tree(files.iter().copied()));
    let mut found = uncited(&sections, &count(&citations));
    found.extend(unknown(&sections, &citations));
    assert_eq!(said(found), expected);
}

const CODE: (&str, &str) = ("crates/a/src/lib.rs", "//! R-1\n");
const TEST: (&str, &str) = ("crates/a/tests/it/main.rs", "//! (R-1)\n");

#[test]
fn a_number_needs_code_and_a_test() {
    check("### R-1 a\n", &[CODE, TEST], &[]);
    check("### R-1 a\n", &[TEST], &["docs/spec.md:1: none"]);
    check("### R-1 a\n", &[CODE], &["docs/spec.md:1: none"]);
    check("### R-1 a\n", &[], &["docs/spec.md:1: none", "docs/spec.md:1: none"]);
}

#[test]
fn other_letters_need_one_citation_and_a_place_in_the_list() {
    check("### S-1 a\n", &[("crates/a/src/lib.rs", "//! S-1\n")], &[]);
    check("### S-1 a\n", &[("crates/a/tests/it/main.rs", "// S-1\n")], &[]);
    check("### S-1 a\n", &[], &["docs/spec.md:1: none"]);
    let unknown = [CODE, TEST, ("crates/a/src/b.rs", "// Z-4, and no UTF-8\n")];
    check("### R-1 a\n", &unknown, &["crates/a/src/b.rs:1: Z-4"]);
}

#[test]
fn neither_example_nor_string_nor_range_is_a_citation() {
    let list = "### R-1 a\n### R-2 b\n### R-3 c\n";
    let ends = "// R-1 to R-3";
    let (code, test) = (("crates/a/src/b.rs", ends), ("crates/a/src/b/tests.rs", ends));
    check(list, &[code, test], &["docs/spec.md:2: none", "docs/spec.md:2: none"]);
    let both = ["docs/spec.md:1: none", "docs/spec.md:1: none"];
    check("### R-1 a\n", &[("crates/a/examples/b.rs", "// R-1")], &both);
    check("### R-1 a\n", &[("crates/a/src/b.rs", "const B: &str = \"R-1\";")], &both);
    check("### R-1 a\n", &[("crates/a/src/b.rs", "// POR-1 and R-1b, A-R-1")], &both);
}

#[test]
fn a_module_of_tests_within_a_file_is_a_test() {
    let inner = "//! R-1\n#[cfg(test)]\nmod tests {\n    // R-1\n}\n";
    check("### R-1 a\n", &[("crates/a/src/b.rs", inner)], &[]);
    let child = "//! é\n#[cfg(test)]\nmod tests;\n// R-1\n";
    check("### R-1 a\n", &[("crates/a/src/b.rs", child)], &["docs/spec.md:1: none"]);
}

#[test]
fn an_exception_has_a_reason_and_is_needed() {
    check("### R-1 a\nException (test): it cannot be seen.\n", &[CODE], &[]);
    check("### R-1 a\nException (test):\n", &[CODE], &["docs/spec.md:1: none"]);
    let reason = "### R-1 a\nException (code): it is not there.\n";
    check(reason, &[CODE, TEST], &["docs/spec.md:1: 1"]);
    check("### R-1 a\nException (tests): misspelt.\n", &[CODE], &["docs/spec.md:1: none"]);
}

#[test]
fn an_unknown_number_is_found_wherever_it_is_cited() {
    for path in ["crates/a/src/b.rs", "crates/a/tests/it/b.rs", "crates/a/examples/b.rs"] {
        let place = format!("{path}:2: R-2");
        check("### R-1 a\n", &[CODE, TEST, (path, "//! b\n// see R-2.\n")], &[place.as_str()]);
    }
}

#[test]
fn a_test_that_a_table_names_exists() {
    #[track_caller]
    fn check(document: &str, expected: &[&str]) {
        let tree = tree([
            ("docs/a.md", document),
            ("crates/a/tests/it/b.rs", "//! b\n#[test]\nfn is_there() {}\n"),
            ("crates/a/src/lib.rs", "//! a\nfn no_test() {}\n"),
        ]);
        assert_eq!(said(named_tests::missing(&tree)), expected);
    }
    check("| what | test |\n|---|---|\n| a | `is_there`, `Type`, `a b` |\n", &[]);
    check("| test that shows it |\n|---|\n| `gone` |\n", &["docs/a.md:3: `gone`"]);
    check("| test | b |\n|---|---|\n| `is_there` | `gone` |\n", &[]);
    check("| test | b |\n|---|---|\n| `no_test` | c |\n", &["docs/a.md:3: `no_test`"]);
    check("| what | b |\n|---|---|\n| `gone` | c |\n\n`gone`\n", &[]);
}

#[test]
fn the_summary_has_every_number() {
    let sections = numbers::read("### R-1 a\n### P-1 b\n");
    let citations = citations::all(&tree([CODE, TEST, ("crates/a/src/c.rs", "// R-1")]));
    let text = summary(&sections, &count(&citations));
    assert_eq!(text.lines().nth(1), Some("R-1       2     1    P-1       0     0"), "{text}");
}
