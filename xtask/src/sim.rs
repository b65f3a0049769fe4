//! `cargo xtask sim`: the fault simulations, any number of seeds on all cores.
//!
//! Only starts the programs that do it.

use std::process::Command;

use xshell::{Shell, cmd};

use crate::{Result, faults, steps::announce};

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

/// Has tokio draw from the seed as well in which order it looks at what is ready.
const EXACT: &str = "--cfg tokio_unstable";

/// Plays whole clusters, in a build of their own.
///
/// # Errors
/// When a seed failed, which was told, or cargo cannot be started.
pub(crate) fn clusters(sh: &Shell, seeds: Option<&str>) -> Result {
    let build = ["--package", "cluster", "--lib", "--target-dir", "target/replay"];
    let mut play = cmd!(sh, "cargo test {build...} simulated::seeds -- --nocapture");
    if let Some(seeds) = seeds {
        faults::range(seeds)?;
        play = play.env("SYNC_REPLICAS_CLUSTER_SEEDS", seeds);
    }
    println!("$ RUSTFLAGS='{EXACT}' {play}");
    Ok(play.env("RUSTFLAGS", EXACT).quiet().run()?)
}
