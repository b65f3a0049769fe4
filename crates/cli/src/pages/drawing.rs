//! Drawings as text: what every one needs, and line charts.
//!
//! Draws its input, the same bytes each time; measures and decides nothing.

pub mod chart;
pub(crate) mod svg;
