//! The commands of the program, one a module: each takes its options and says what came of it.
//!
//! They know of each other only where one is a part of another: a launcher starts nodes, and asks
//! as `status` does.

pub mod compare;
pub mod launch;
pub mod node;
pub mod plan;
pub mod predict;
pub mod report;
mod security;
pub mod simulate;
pub mod status;
pub mod stop;
pub mod train;
