//! The native half of the Python package `sync_replicas`; the other half is Python, beside it.
//!
//! Converts, waits and reports, and decides nothing: rules are those of the crates below.
//! Invariants: the interpreter is released in every call that waits or is long, every wait checks
//! for signals, and NumPy's memory is read only if its flags allow it.

#![forbid(unsafe_code)]

mod accumulator;
mod arrays;
mod cause;
mod cluster_replica;
mod errors;
mod fit;
mod fork_guard;
mod hook;
mod initial;
mod local_replica;
mod number;
mod numpy_memory;
mod optimizers;
mod outcome;
mod place;
mod program;
mod replica;
mod report;
mod tables;
mod tensor_board;
mod tokens;
mod trainer;
mod variable_cache;
mod wait;

/// The contents of `sync_replicas`.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::accumulator::{ConditionalAccumulator, SparseConditionalAccumulator, Taken};
    #[pymodule_export]
    use crate::arrays::IndexedSlices;
    #[pymodule_export]
    use crate::fit::Work;
    #[pymodule_export]
    use crate::fork_guard::forked;
    #[pymodule_export]
    use crate::hook::Update;
    #[pymodule_export]
    use crate::optimizers::{OptimizerState, learning_rate};
    #[pymodule_export]
    use crate::outcome::Outcome;
    #[pymodule_export]
    use crate::place::Place;
    #[pymodule_export]
    use crate::program::program;
    #[pymodule_export]
    use crate::replica::{Replica, Step};
    #[pymodule_export]
    use crate::tables::{check_table, hash_text};
    #[pymodule_export]
    use crate::tensor_board::TensorBoard;
    #[pymodule_export]
    use crate::tokens::TokenQueue;
    #[pymodule_export]
    use crate::trainer::Trainer;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
