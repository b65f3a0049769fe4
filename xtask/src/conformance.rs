//! `cargo xtask conformance [--cluster] [DIR]`: recorded runs of TensorFlow, replayed.
//!
//! Only starts the program that does it; its last line is `N passed, M failed`.

use std::{
    path::{self, PathBuf},
    process::Command,
};

use xshell::{Shell, cmd};

use crate::{Result, programs::Programs, steps::announce};

/// The traces that the repository carries.
const CARRIED: &str = "crates/conformance/traces";

/// Replays the traces of `folder`, or those carried, and gives whether all of them passed; on
/// clusters if asked for.
///
/// # Errors
/// When the program cannot be built or started.
pub(crate) fn run(sh: &Shell, folder: Option<PathBuf>, cluster: bool) -> Result<bool> {
    // A relative folder is meant from where the command was called, not from the root.
    let folder = folder.map_or_else(|| Ok(sh.current_dir().join(CARRIED)), path::absolute)?;
    let cluster = cluster.then_some("--cluster");
    let programs = Programs::build(sh)?;
    let program = programs.named("conformance")?;
    let replay = cmd!(sh, "{program} {cluster...} {folder}");
    announce(&replay);
    // The program has said what failed; its status is no error of this one.
    Ok(Command::from(replay).status()?.success())
}
