//! Measures the performance table; `cargo xtask bench` builds and starts it.

#![allow(clippy::print_stderr, reason = "a tool for a terminal")]
#![allow(missing_docs, reason = "the macro copies no doc comment to the types it makes")]

use std::path::PathBuf;
use std::process::ExitCode;

xflags::xflags! {
    /// Measures the ceilings and all rows.
    cmd report {
        /// Only those whose name contains this.
        optional filter: String
        /// Fewer and shorter measurements.
        optional --quick
        /// The folder for what is written.
        required --out folder: PathBuf
    }
}

fn main() -> ExitCode {
    if benches::play_part() {
        return ExitCode::SUCCESS;
    }
    let flags = Report::from_env_or_exit();
    match benches::report(flags.filter.as_deref(), flags.quick, &flags.out, &[]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", flags.out.display());
            ExitCode::FAILURE
        }
    }
}
