//! `conformance DIR`: replays a folder of traces and says how many passed.
//!
//! Ends with the line `N passed, M failed`. Exit status: 0 when all passed, 1 when one failed, 2
//! when there was nothing to replay.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use conformance::run_folder;

const FAILED: u8 = 1;
const NOTHING_TO_REPLAY: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: conformance DIR, a folder of *.json traces");
        return ExitCode::from(NOTHING_TO_REPLAY);
    };
    match run_folder(&folder) {
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
