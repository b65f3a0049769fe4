//! What is measured, and against what: every row of the performance table, with its ceiling.
//!
//! [`ROWS`] is the table; the program `report` measures it against [`CEILINGS`] of the same run,
//! and the criterion targets measure its rows one by one. Nothing here knows how to make anything
//! fast: rows use the public API of the crates, as their users do. Invariant: a row's name never
//! changes its meaning.

#![allow(missing_debug_implementations, reason = "nobody prints the parts of a measurement")]
#![allow(clippy::print_stdout, reason = "a tool for a terminal")]

mod bare_step;
mod ceilings;
mod cluster_rows;
mod report;
mod row;
mod rows;
mod table_rows;
mod team;
mod work;

pub use cluster_rows::CLUSTER;
pub use report::run as report;
pub use row::{Bound, Measure, Row, Target, Unit, Work};
pub use rows::{CEILINGS, ROWS};
pub use table_rows::TABLES;
pub use team::together;
pub use work::parts::play_part;
pub use work::step::{Replicas, build};
