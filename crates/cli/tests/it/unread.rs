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
