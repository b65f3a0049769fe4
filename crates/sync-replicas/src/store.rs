//! The parameter store: what happens to gradients once they are admitted.
//!
//! One process has a store of whole variables, and a parameter server one of its parts of them. It
//! decides nothing about freshness and holds no lock. For code that carries the [`engine`] out
//! elsewhere; [`Trainer`](crate::Trainer) does it in one process.

mod error;
mod not_finite;
mod parameters;
mod resolve;
mod restore_error;
mod round;
mod snapshot;
mod spares;
mod spec;
mod sums;
mod tables;

pub use embedding_table::Change;

pub use crate::layout::{Layout, VariableKind};

pub use self::error::{GradientError, TableSetupError, Torn, UpdateError};
pub use self::not_finite::{Cause, NotFinite};
pub use self::parameters::ParameterStore;
pub use self::resolve::resolve;
pub use self::restore_error::RestoreError;
pub use self::round::{StepContributions, Totals};
pub use self::snapshot::Snapshot;
pub use self::spares::SpareArrays;
pub use self::spec::{GradientKind, GradientSpec, Misfit, kinds};
pub use self::sums::{SumOptions, VariableSum, VariableSums};
pub use self::tables::{TableSaves, Tables, Version};

pub(crate) use self::resolve::{fit, named};
pub(crate) use self::sums::lent;
