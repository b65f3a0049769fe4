//! Messages that nobody reads, and results that cannot be written.

use std::fs::File;
use std::process::Stdio;

use crate::program::{Said, folder, program};

/// The writing end of a pipe whose reader has gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// Whoever does not read messages ends nothing, whatever writes them.
#[test]
fn nobody_who_does_not_read_ends_a_training() {
    #[track_caller]
    fn check(args: &str, log: &str, status: i32) {
        let folder = folder();
        let args: Vec<_> = args.split_whitespace().collect();
        let mut command = program(folder.path(), &args);
        let output = command.env("RUST_LOG", log).stdout(unread()).stderr(unread()).output();
        let said = Said::from(output.expect("the program starts"));
        assert_eq!(said.status, status, "{args:?}");
    }
    check("train --updates 30 --straggler none --out a", "warn", 0);
    check("train --updates 30 --straggler none --out a", "trace", 0);
    check("train --updates 30 --straggler none --out a", "no such level", 0);
    check("train --updates 0 --out a", "warn", 2);
    check("launch --ps 1 --workers 2 --updates 30 --straggler none --out a", "trace", 0);
    check("simulate spot-machines --steps 20", "warn", 0);
}

/// A result that was asked for is there, or it is an error.
#[cfg(target_os = "linux")]
#[test]
fn json_that_cannot_be_written_is_an_error() {
    #[track_caller]
    fn check(args: &str) {
        let full = || File::options().write(true).open("/dev/full").expect("Linux has it").into();
        for out in [full(), unread()] {
            let folder = folder();
            let args: Vec<_> = args.split_whitespace().collect();
            let output = program(folder.path(), &args).stdout::<Stdio>(out).output();
            let said = Said::from(output.expect("the program starts"));
            assert_eq!(said.status, 1, "{args:?}: {}", said.err);
            // The chief of a cluster says it, and the launcher that the chief has failed.
            let told = said.err.contains("the JSON object of --json");
            assert!(told, "{args:?}: {}", said.err);
        }
    }
    check("train --json --quiet --updates 10 --straggler none --out a");
    check("launch --json --quiet --ps 1 --workers 2 --updates 10 --straggler none --out a");
    check("simulate --json spot-machines --steps 20");
    check("plan --json --compute exponential:mean=1 --machines 4");
}

/// A full disk is told of; a reader who has gone has seen enough.
#[cfg(target_os = "linux")]
#[test]
fn text_that_cannot_be_written_is_an_error() {
    let folder = folder();
    for name in ["a", "b"] {
        let options = ["--model", "softmax", "--updates", "10", "--straggler", "none"];
        crate::program::train(folder.path(), &[&options[..], &["--out", name]].concat());
    }
    #[track_caller]
    fn check(folder: &std::path::Path, args: &str) {
        let args: Vec<_> = args.split_whitespace().collect();
        let full = || File::options().write(true).open("/dev/full").expect("Linux has it").into();
        for (out, status) in [(full(), 1), (unread(), 0)] {
            let output = program(folder, &args).stdout::<Stdio>(out).output();
            let said = Said::from(output.expect("the program starts"));
            assert_eq!(said.status, status, "{args:?}: {}", said.err);
            let told = said.err.contains("the answer cannot be written to standard output");
            assert_eq!(told, status == 1, "{args:?}: {}", said.err);
        }
    }
    check(folder.path(), "compare a b");
    check(folder.path(), "plan a");
    check(folder.path(), "report a");
    check(folder.path(), "simulate spot-machines --steps 20");
}
