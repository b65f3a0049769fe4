//! `conformance [--cluster] DIR`: replays a folder of traces and says how many passed.
//!
//! With `--cluster` they are replayed over a network, those that have a counterpart there.
//! Ends with the line `N passed, M failed`. Exit status: 0 when all passed, 1 when one failed, 2
//! when there was nothing to replay.

#![allow(clippy::print_stderr, reason = "a tool for a terminal")]

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use conformance::{run_folder, run_folder_on_clusters};

const FAILED: u8 = 1;
const NOTHING_TO_REPLAY: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let report = match &arguments[..] {
        [cluster, folder] if cluster == "--cluster" => run_folder_on_clusters(Path::new(folder)),
        [folder] => run_folder(Path::new(folder)),
        _ => {
            eprintln!("usage: conformance [--cluster] DIR, a folder of *.json traces");
            return ExitCode::from(NOTHING_TO_REPLAY);
        }
    };
    match report {
        Ok(report) => {
            // A reader that has gone, as `head` does, changes nothing about the result.
            drop(writeln!(io::stdout(), "{report}"));
            if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOTHING_TO_REPLAY)
        }
    }
}
