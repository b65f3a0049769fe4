//! What a backup is worth: the same training with one replica slow, with and without a backup.
//!
//! Run it with `cargo run -p cli --example stragglers`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use clap::Parser;
use cli::args::Cli;
use cli::commands::train::train;
use cli::run::summary::{Summary, percent};
use cli::settings::Settings;
use cli::system::interrupt::Interrupt;
use cli::units::time;

fn main() -> Result<(), Box<dyn Error>> {
    let with = run("4", "5")?;
    let without = run("4", "4")?;
    for (name, summary) in [("with a backup", &with), ("without", &without)] {
        let (time, accuracy) =
            (time(summary.seconds), percent(summary.scores.test_accuracy.unwrap_or_default()));
        println!("{name:>13}: {} updates in {time}, test accuracy {accuracy}", summary.updates);
    }
    assert!(with.seconds < without.seconds);
    Ok(())
}

/// 50 updates, of A gradients by N replicas, the last of which pauses 10 ms before each batch.
fn run(aggregate: &str, total: &str) -> Result<Summary, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("run").display().to_string();
    let slow = format!("{}=10", total.parse::<u64>()? - 1);
    let args = Cli::try_parse_from([
        "sync-replicas",
        "-a",
        aggregate,
        "-n",
        total,
        "--straggler",
        &slow,
        "--updates",
        "50",
        "--quiet",
        "--out",
        &out,
    ])?;
    Ok(train(&Settings::check(args.into_train())?, &Interrupt::new())?)
}
