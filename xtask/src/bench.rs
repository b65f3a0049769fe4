//! `cargo xtask bench`: the performance table, or the criterion benchmarks.
//!
//! It only builds and starts; what is measured is in the member `benches`.

use xshell::{Shell, cmd};

use crate::{Result, flags::Bench, programs::CANDLE, workspace::Workspace};

/// Measures the rows whose name contains the filter, all of them without one; those of the adapter
/// for candle when the filter is `candle`.
///
/// # Errors
/// When the programs do not build or one of them fails; a target that is missed is no failure.
pub(crate) fn run(sh: &Shell, bench: &Bench) -> Result {
    let filter = bench.filter.as_deref();
    if bench.criterion {
        cmd!(sh, "cargo bench -p benches -- {filter...}").run()?;
        return Ok(());
    }
    let folder = Workspace::load(sh)?.target_dir.join("bench");
    let quick = bench.quick.then_some("--quick");
    // Only those who ask for its rows build candle.
    if filter == Some("candle") {
        let folder = folder.join("candle");
        let adapter = cmd!(sh, "cargo bench -p {CANDLE} --bench adapter -- {quick...} --out");
        return Ok(adapter.arg(folder).run()?);
    }
    cmd!(sh, "cargo build --release -p benches --bins").run()?;
    let report = cmd!(sh, "cargo run --release -q -p benches --bin report --");
    report.args(filter).args(quick).arg("--out").arg(folder).run()?;
    Ok(())
}
