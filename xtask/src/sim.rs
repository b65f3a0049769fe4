//! `cargo xtask sim`: the fault simulation, any number of seeds on all cores.
//!
//! Only starts the program that does it; its last line is `N passed, M failed`.

use std::process::Command;

use xshell::{Shell, cmd};

use crate::{Result, steps::announce};

/// The seeds of `ci`.
const SEEDS: &str = "0..1000";

/// Plays `seeds`, written A..B, or those of `ci`, and gives whether all of them passed.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run(sh: &Shell, seeds: Option<&str>, trace: bool) -> Result<bool> {
    let (seeds, trace) = (seeds.unwrap_or(SEEDS), trace.then_some("--trace"));
    let play = ["--quiet", "--release", "--package", "simulator", "--bin", "faults"];
    let play = cmd!(sh, "cargo run {play...} -- {seeds} {trace...}");
    announce(&play);
    // The program has said what failed; its status is no error of this one.
    Ok(Command::from(play).status()?.success())
}
