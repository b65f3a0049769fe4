//! `cargo xtask sim`: the fault simulations, any number of seeds on all cores.
//!
//! Only starts the programs that do it.

use std::process::Command;

use xshell::{Shell, cmd};

use crate::{
    Result, faults,
    programs::{ALL, EXACT, Programs},
    steps::announce,
};

/// The seeds of `ci`.
const SEEDS: &str = "0..1000";

/// Plays `seeds`, written A..B, or those of `ci`, and gives whether all of them passed.
///
/// # Errors
/// When the program cannot be built or started.
pub(crate) fn run(sh: &Shell, seeds: Option<&str>, trace: bool) -> Result<bool> {
    let (seeds, trace) = (seeds.unwrap_or(SEEDS), trace.then_some("--trace"));
    let programs = Programs::build(sh)?;
    let program = programs.named("faults")?;
    let play = cmd!(sh, "{program} {seeds} {trace...}");
    announce(&play);
    // The program has said what failed; its status is no error of this one.
    Ok(Command::from(play).status()?.success())
}

/// The whole clusters of `ci`.
const CLUSTERS: &str = "0..50";

/// Plays whole clusters, those of `ci` where no seeds are given.
///
/// # Errors
/// When a seed failed, which was told, or cargo cannot be started.
pub(crate) fn clusters(sh: &Shell, seeds: Option<&str>) -> Result {
    let seeds = seeds.unwrap_or(CLUSTERS);
    faults::range(seeds)?;
    let play = cmd!(sh, "cargo test --quiet {ALL...} --lib whole_clusters -- --nocapture")
        .env("SYNC_REPLICAS_CLUSTER_SEEDS", seeds);
    let (name, value) = EXACT;
    println!("$ {name}='{value}' {play}");
    Ok(play.env(name, value).quiet().run()?)
}
