//! `cargo xtask fix`: what a machine can put right, and nothing that needs a decision.

use xshell::{Shell, cmd};

use crate::{Result, burn::MANIFEST};

/// Applies clippy's suggestions, then formats; in this order, for suggestions come unformatted.
///
/// # Errors
/// When one of the commands fails, most often because the code does not compile.
pub(crate) fn run(sh: &Shell) -> Result {
    cmd!(
        sh,
        "cargo clippy --fix --allow-dirty --allow-staged --workspace --all-targets --all-features"
    )
    .run()?;
    cmd!(sh, "cargo fmt --all").run()?;
    cmd!(sh, "cargo fmt --manifest-path {MANIFEST}").run()?;
    Ok(())
}
