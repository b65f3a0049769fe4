//! The program `sync-replicas`, for the entry point of the package.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Does what a command line says, of which the first word is the program; the exit status. `itself`
/// starts this program once more when words are put behind it. Once a process, at its end.
#[pyfunction]
#[pyo3(name = "_program")]
pub(crate) fn program(py: Python<'_>, itself: Vec<OsString>, typed: Vec<OsString>) -> i32 {
    py.detach(|| cli::program::main(&itself, typed)) as i32
}
