//! What a reader of the variables gets: all of one step, never torn, never mixed (P-11, R-29).

use accum_core::GlobalStep;

use crate::Variables;
use engine::Generation;

/// The variables as they were at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<T> {
    /// The number of updates that made them.
    pub global_step: GlobalStep,
    /// The life of the shared state that they belong to.
    // P-9
    pub generation: Generation,
    /// The values.
    pub variables: Variables<T>,
}
