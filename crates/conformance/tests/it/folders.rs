//! Folders as a user meets them: the program, its last line, its exit status.

use std::fs;
use std::path::Path;
use std::process::Command;

use conformance::{FolderError, Place, run_folder};

use crate::recorded::{folder, trace};

/// Runs the program; its output, what it says of errors, and its exit status.
fn program(arguments: &[&Path]) -> (String, String, Option<i32>) {
    let program = env!("CARGO_BIN_EXE_conformance");
    let output = Command::new(program).args(arguments).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("plain text");
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn a_folder_that_passes() {
    let (output, errors, status) = program(&[&folder()]);
    assert_eq!((output.as_str(), errors.as_str(), status), ("210 passed, 0 failed\n", "", Some(0)));
}

#[test]
fn each_failure_has_a_line_and_the_count_is_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("written");
    let mut altered = trace("queue-014");
    altered["ops"][13]["expect"]["value"] = 5.into();
    write("b.json", altered.to_string().as_bytes());
    write("a.json", trace("queue-014").to_string().as_bytes());
    write("c.json", b"{}");
    write("d.json", b"\xff");
    write("notes.txt", b"no trace");
    fs::create_dir(folder.path().join("e.json")).expect("a folder of that name");

    let (output, _, status) = program(&[folder.path()]);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 5, "{output}");
    let altered = "FAILED b.json, operation 13 (size): the outcome is 0, expected 5";
    assert_eq!(lines[0], altered);
    for (line, start) in lines[1..4].iter().zip(["c", "d", "e"]) {
        assert!(line.starts_with(&format!("FAILED {start}.json, the file: ")), "{line}");
    }
    assert_eq!((lines[4], status), ("1 passed, 4 failed", Some(1)));

    let report = run_folder(folder.path()).expect("it has traces");
    assert_eq!((report.passed(), report.failed()), (1, 4));
    let (file, failure) = report.failures().next().expect("four failures");
    let place = Place::Operation { number: 13, name: "size".to_owned() };
    assert_eq!((file, &failure.place), ("b.json", &place));
}

#[test]
fn nothing_to_replay_is_an_error_of_its_own() {
    let empty = tempfile::tempdir().expect("a folder");
    let missing = empty.path().join("missing");
    let is_empty = run_folder(empty.path()).expect_err("no trace");
    assert!(matches!(is_empty, FolderError::Empty { .. }), "{is_empty}");
    let unreadable = run_folder(&missing).expect_err("no folder");
    assert!(matches!(unreadable, FolderError::Unreadable { .. }), "{unreadable}");

    #[track_caller]
    fn check(arguments: &[&Path], part: &str) {
        let (output, errors, status) = program(arguments);
        assert_eq!((output.as_str(), status), ("", Some(2)));
        assert!(errors.contains(part), "{errors}");
    }
    check(&[empty.path()], "there is no *.json in");
    check(&[&missing], "cannot be read");
    check(&[], "usage: conformance [--cluster] DIR");
    check(&[empty.path(), empty.path()], "usage: conformance [--cluster] DIR");
}
