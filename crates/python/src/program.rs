//! The program `sync-replicas`, for the entry point of the package.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Carries out a command line, whose first word is the program; returns the exit status. `itself`
/// starts this program again when words are appended. Once a process, at its end.
#[pyfunction]
#[pyo3(name = "_program")]
pub(crate) fn program(py: Python<'_>, itself: Vec<OsString>, typed: Vec<OsString>) -> i32 {
    py.detach(|| cli::program::main(&itself, typed)) as i32
}
