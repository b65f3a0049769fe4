//! Optimizers with named slots for dense and sparse gradients, with learning-rate schedules,
//! gradient clipping and moving averages.
//!
//! An [`Optimizer`] is a formula: hyper-parameters and an elementwise kernel, no state. An
//! [`OptimizerState`] puts it to work: it owns the named slots of every variable and is lent the
//! variables. The two meet in tiles of plain slices, so that a division by a count ([`Mean`]) or a
//! widening from `f16` happens inside the update's own pass over memory, and your own formula is
//! one function.
//!
//! ```
//! use ndarray::array;
//! use optim::{Adam, OptimizerState, Schedule};
//!
//! let schedule: Schedule = "warm-up:steps=10,then=0.1".parse()?;
//! let mut state = OptimizerState::<f32>::new(Adam::new(schedule).beta2(0.99))?;
//! let mut w = array![5.0_f32, -3.0].into_dyn();
//! state.add_variable("w", w.shape())?;
//!
//! for _ in 0..300 {
//!     let mut gradient = w.mapv(|x| 2.0 * x);
//!     optim::clip_by_global_norm(&mut [gradient.view_mut()], 1.0)?;
//!     state.apply_dense("w", w.view_mut(), &gradient)?;
//!     state.finish_step();
//! }
//! assert!(w.iter().all(|x| x.abs() < 0.01));
//! assert!(state.state().contains_key("w/m"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a formula | [`Sgd`], [`Momentum`], [`Adagrad`], [`RmsProp`], [`Ftrl`] |
//! | one with moments | [`Adam`], [`AdamW`], and [`LazyAdam`] for large tables |
//! | other numbers for some variables | [`Groups`] |
//! | any of them as one type | [`BuiltIn`] |
//! | a formula of one's own | [`Optimizer`] |
//! | what they are fed | [`DenseGradient`], [`SparseGradient`] |
//! | slots, names, saving and restoring | [`OptimizerState`] |
//! | rows that are kept elsewhere with their slots, such as a table's | [`RowUpdate`] |
//! | learning rates over steps, also as text | [`Schedule`] |
//! | gradients that are too large | [`clip_by_global_norm`], [`clip_by_norm`], [`clip_by_value`] |
//! | averages of chosen variables | [`ExponentialMovingAverage`] |
//!
//! Variables are `f32` or `f64`; hyper-parameters are `f64` and are rounded to the variable's type.
//! The crate reads no clock, starts no thread and needs no runtime.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clip;
mod finite;
mod gradient;
mod hyper;
mod moving_average;
mod optimizer;
mod optimizers;
mod real;
mod schedule;
mod simd;
mod state;

pub use crate::clip::{ClipError, clip_by_global_norm, clip_by_norm, clip_by_value};
pub use crate::gradient::{DenseGradient, GradientElement, Mean, SparseGradient};
pub use crate::hyper::HyperParameterError;
pub use crate::moving_average::{ExponentialMovingAverage, MovingAverageError};
pub use crate::optimizer::{MAX_SLOTS, Optimizer, ScalarSpec, SlotSpec, SparseReach, Step, Tile};
pub use crate::optimizers::{
    Adagrad, Adam, AdamW, BuiltIn, Ftrl, Groups, LazyAdam, Momentum, RmsProp, Sgd,
};
pub use crate::real::Real;
pub use crate::schedule::{ParseScheduleError, Schedule};
pub use crate::state::{
    AddVariableError, ApplyError, BuildError, Join, OptimizerState, RestoreError, RowUpdate,
    StateMap, StateValue, TableOptimizerError, check_table,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
