//! What users see of the crate, in one binary.

mod fuzz;
mod predict;
