//! Each rule about source files is shown files that break it, and ones that nearly do.

use super::*;
use crate::tidy::tests::{check, files};

#[test]
fn a_clock_or_a_thread_in_a_clockless_crate_is_found() {
    #[track_caller]
    fn check_line(line: &str, came: &[&str]) {
        let facts = files([("crates/optim/src/a.rs", &*format!("//! A.\n{line}\n"))]);
        check(no_clock_and_no_thread, &facts, came);
    }
    check_line("use std::time::Duration;", &["crates/optim/src/a.rs:2: `std::time`"]);
    check_line("use std::{sync, time::Duration};", &["crates/optim/src/a.rs:2: `time::`"]);
    check_line("let now = Instant::now();", &["crates/optim/src/a.rs:2: `Instant`"]);
    check_line("std::thread::yield_now();", &["crates/optim/src/a.rs:2: `std::thread`"]);
    check_line("thread::spawn(f);", &["crates/optim/src/a.rs:2: `thread::`"]);
    check_line("tokio::spawn(f);", &["crates/optim/src/a.rs:2: `tokio::spawn`"]);
    check_line("let instant = time; // Instant, std::thread", &[]);
    check_line("let text = \"std::time\";", &[]);
    check_line("#[cfg(test)]\nmod tests { use std::thread; }", &[]);
}

#[test]
fn clocks_and_threads_are_free_elsewhere() {
    let text = "//! A.\nuse std::{thread, time::Instant};\n";
    let facts = files([
        ("crates/optim/src/a/tests.rs", text),
        ("crates/optim/src/tests/b.rs", text),
        ("crates/optim/tests/it/main.rs", text),
        ("crates/optim/examples/ten.rs", text),
        ("crates/hooks/src/a.rs", text),
    ]);
    check(no_clock_and_no_thread, &facts, &[]);
}

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
fn a_long_function_is_warned_of() {
    let function =
        |lines: usize| format!("//! A.\n\nfn long() {{\n{}}}\n", "a();\n".repeat(lines - 2));
    check(functions_fit_a_screen, &files([("a.rs", &*function(70))]), &[]);
    check(functions_fit_a_screen, &files([("a.rs", &*function(71))]), &["~a.rs:3: 71 in `long`"]);
}

#[test]
fn a_wide_line_is_found_by_its_characters() {
    let text = format!("//! A.\n{}\n{}\n", "é".repeat(100), "é".repeat(101));
    check(lines_fit_the_page, &files([("a.rs", &*text)]), &["a.rs:3: 101"]);
}

#[test]
fn unfinished_work_is_found() {
    for (text, came) in [
        ("fn a() { todo!() }", &["a.rs:1: `todo!`"][..]),
        ("fn a() { unimplemented!() }", &["a.rs:1: `unimplemented!`"]),
        ("let b = dbg!(a);", &["a.rs:1: `dbg!`"]),
        ("#[test]\n#[ignore = \"slow\"]\nfn a() {}", &["a.rs:2: `#[ignore`"]),
        ("// TODO: more\n/* FIXME */", &["a.rs:1: `TODO`", "a.rs:2: `FIXME`"]),
        ("/// fn a() { todo!() }", &["a.rs:1: `todo!(`"]),
        ("let text = \"TODO todo!()\"; // todos, TODOS", &[]),
    ] {
        check(nothing_is_left_unfinished, &files([("a.rs", text)]), came);
    }
}

#[test]
fn unsafe_code_is_found_and_its_mention_is_not() {
    for (text, came) in [
        ("fn a() {\n    unsafe { b() }\n}", &["a.rs:2: `unsafe`"][..]),
        ("#![forbid(unsafe_code)] // no unsafe", &[]),
    ] {
        check(no_unsafe_code, &files([("a.rs", text)]), came);
    }
}
