//! `cargo xtask bench`: the benchmarks of the workspace, all or some.

use xshell::{Shell, cmd};

use crate::Result;

/// Runs the benchmarks whose name contains `filter`, all of them without one.
///
/// # Errors
/// When the benchmarks do not build or one of them fails.
pub(crate) fn run(sh: &Shell, filter: Option<&str>) -> Result {
    cmd!(sh, "cargo bench -p benches -- {filter...}").run()?;
    Ok(())
}
