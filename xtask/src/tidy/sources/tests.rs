//! Each rule about source files is shown files that break it, and ones that nearly do.

use super::*;
use crate::tidy::tests::{check, files};

#[test]
fn a_file_that_opens_with_code_is_found() {
    let facts = files([
        ("a.rs", "//! A.\n"),
        ("b.rs", "mod a;\n"),
        ("c.rs", ""),
        ("d.rs", "/// D.\n"),
        ("e.md", "e"),
    ]);
    let came = ["b.rs: \"mod a;\"", "c.rs: \"\"", "d.rs: \"/// D.\""];
    check(files_open_with_prose, &facts, &came);
}

#[test]
fn a_long_file_is_warned_of_and_a_longer_one_fails() {
    let lines = |n: usize| "//! A.\n".repeat(n);
    for (n, came) in [(400, &[][..]), (401, &["~a.rs: 401"]), (600, &["~a.rs: 600"])] {
        check(files_are_short, &files([("a.rs", &*lines(n))]), came);
    }
    check(files_are_short, &files([("a.rs", &*lines(601))]), &["a.rs: 601"]);
}

#[test]
fn a_wide_line_is_found_by_its_characters() {
    let text = format!("//! A.\n{}\n{}\n", "é".repeat(100), "é".repeat(101));
    check(lines_fit_the_page, &files([("a.rs", &*text)]), &["a.rs:3: 101"]);
}

#[test]
fn options_that_know_a_command_are_found() {
    let facts = files([
        ("crates/cli/src/args.rs", "//! See [`run`](crate::run).\nuse crate::args::train;\n"),
        ("crates/cli/src/args/node.rs", "//! A.\nuse super::train;\nuse crate::node::Place;\n"),
        ("crates/cli/src/args_of_others.rs", "//! A.\nuse crate::node;\n"),
        ("crates/cli/src/node.rs", "//! A.\nuse crate::args::node;\n"),
    ]);
    let came = ["crates/cli/src/args/node.rs:3: `use crate::node::Place;`"];
    check(options_import_no_command, &facts, &came);
}
