//! `faults A..B [--trace]`: plays seeds A to B - 1 of the fault simulation.
//!
//! Ends with the line `N passed, M failed`. Exit status: 0 when all passed and every kind of fault
//! occurred, 1 when not, 2 when the arguments are invalid.

#![allow(clippy::print_stderr, reason = "a tool for a terminal")]

use std::env;
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

use fault_sim::{run, sweep};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let traced = arguments.iter().any(|argument| argument == "--trace");
    arguments.retain(|argument| argument != "--trace");
    let [seeds] = &arguments[..] else { return usage("one range of seeds is needed") };
    let seeds = match parse(seeds) {
        Ok(seeds) => seeds,
        Err(error) => return usage(&error),
    };
    let mut out = io::stdout().lock();
    if traced {
        for seed in seeds.clone() {
            let text = run(seed, true).trace.unwrap_or_default();
            // A reader that has gone, as `head` does, changes nothing about the result.
            drop(out.write_all(text.as_bytes()));
        }
    }
    let report = sweep(seeds);
    drop(writeln!(out, "{report}"));
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("error: {error}\nusage: faults A..B [--trace], for the seeds A to B - 1");
    ExitCode::from(USAGE)
}

/// `A..B`, with A below B.
fn parse(text: &str) -> Result<Range<u64>, String> {
    let expected = || format!("{text:?} is no range of seeds; expected A..B, for instance 0..1000");
    let (start, end) = text.split_once("..").ok_or_else(expected)?;
    let number = |part: &str| part.parse::<u64>().map_err(|_| expected());
    let seeds = number(start)?..number(end)?;
    if seeds.is_empty() { Err(expected()) } else { Ok(seeds) }
}
