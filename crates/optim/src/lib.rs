//! Optimizers with named slots.

mod gradient;
mod hyper;
mod optimizer;
mod optimizers;
mod real;
mod schedule;
mod state;

pub use crate::gradient::{DenseGradient, GradientElement, Mean, SparseGradient};
pub use crate::hyper::HyperParameterError;
pub use crate::optimizer::{MAX_SLOTS, Optimizer, ScalarSpec, SlotSpec, SparseReach, Step, Tile};
pub use crate::optimizers::{Adagrad, Adam, AdamW, Ftrl, LazyAdam, Momentum, RmsProp, Sgd};
pub use crate::real::Real;
pub use crate::schedule::{ParseScheduleError, Schedule};
pub use crate::state::{
    AddVariableError, ApplyError, BuildError, OptimizerState, RestoreError, StateMap, StateValue,
};
