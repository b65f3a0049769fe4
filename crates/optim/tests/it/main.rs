//! What users see of the crate, in one binary.

#![allow(clippy::disallowed_methods, reason = "tests may start threads")]

mod averages;
mod clipping;
mod edges;
mod finite;
mod fuzz;
mod goldens;
mod gradients;
mod groups;
mod hyper_parameters;
mod layouts;
mod numerics;
mod random_averages;
mod random_clipping;
mod random_schedules;
mod recursions;
mod reference;
mod schedules;
#[cfg(feature = "serde")]
mod serde;
mod side_by_side;
mod sparse;
mod state;
mod support;
