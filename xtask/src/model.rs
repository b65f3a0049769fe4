//! `cargo xtask model`: every crate beside its reference model, in random histories.
//!
//! Only starts the program that does it; its last line is `N passed, M failed`.

use std::process::Command;

use xshell::{Shell, cmd};

use crate::{
    Result,
    programs::{ALL, Programs},
    steps::announce,
};

/// Runs all models, with the program's own numbers where none are given; whether all held.
///
/// # Errors
/// When the program cannot be built or started.
pub(crate) fn run(sh: &Shell, cases: Option<u32>, transitions: Option<usize>) -> Result<bool> {
    let programs = Programs::build(sh)?;
    let program = programs.named("models")?;
    let mut models = cmd!(sh, "{program}");
    for (flag, number) in [
        ("--cases", cases.map(|cases| cases.to_string())),
        ("--transitions", transitions.map(|transitions| transitions.to_string())),
    ] {
        if let Some(number) = number {
            models = models.args([flag, &number]);
        }
    }
    announce(&models);
    // The program has said what failed; its status is no error of this one.
    let held = Command::from(models).status()?.success();
    match cases {
        Some(cases) => Ok(lives(sh, cases)? && held),
        // With the other tests a few are tried anyway.
        None => Ok(held),
    }
}

/// Histories of the program itself: starts, signals, damage and full disks, for `train` and
/// `launch`. One takes seconds where a model takes milliseconds, so there are fewer.
fn lives(sh: &Shell, cases: u32) -> Result<bool> {
    let count = (cases / 64).max(1).to_string();
    let lives = cmd!(sh, "cargo test {ALL...} --test it lives:: -- --nocapture")
        .env("SYNC_REPLICAS_LIVES", count);
    announce(&lives);
    Ok(Command::from(lives).status()?.success())
}
