//! What can go wrong with a shard, one enum an operation.
//!
//! Staging errors are the sender's fault and do not affect others' contributions.

use accum_core::SlicesError;
use sync_replicas::driver::Generation;
use sync_replicas::error::UpdateError;
use sync_replicas::store::GradientKind;

use super::Contribution;

/// Why a contribution cannot be admitted as committed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It has a gradient that the commit does not name.
    #[error("a gradient of `{name}` came, and it was not committed; commit what was sent")]
    NotCommitted {
        /// The variable.
        name: String,
    },
    /// It lacks a gradient that the commit names.
    #[error("a gradient of `{name}` did not come, and it was committed; commit what was sent")]
    NotSent {
        /// The variable.
        name: String,
    },
    /// A gradient that differs in kind from its variable's.
    #[error(transparent)]
    Kind(#[from] StageError),
}

/// Why a contribution was not staged. Nothing staged of it remains.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A section names an unknown part.
    #[error("section {section} is for part {got}; this shard has {parts} parts, from 0")]
    Part {
        /// The section's place.
        section: usize,
        /// The part it names.
        got: usize,
        /// How many there are.
        parts: usize,
    },
    /// Sections are not in the order of their parts, or name one twice.
    #[error("section {section} is for part {got}, after one for part {previous}; order them")]
    Order {
        /// The section's place.
        section: usize,
        /// The part it names.
        got: usize,
        /// The part of the section before.
        previous: usize,
    },
    /// The gradient differs in kind from that of the first contribution.
    #[error("part `{name}` has {got}; it had {expected} in the first contribution")]
    Kind {
        /// The part.
        name: String,
        /// The kind at first.
        expected: GradientKind,
        /// The kind now.
        got: GradientKind,
    },
    /// A table's gradient has rows and keys.
    #[error("table `{name}` has a dense gradient; send the rows of the batch's keys")]
    Dense {
        /// The table.
        name: String,
    },
    /// A key whose row another server has.
    #[error("table `{name}`: the row of key {key} is another server's")]
    Key {
        /// The table.
        name: String,
        /// The key.
        key: i64,
    },
    /// A sparse gradient with more rows than memory can hold.
    #[error("part `{name}` was announced with {got} rows, expected at most {most}")]
    Rows {
        /// The part.
        name: String,
        /// The largest number.
        most: usize,
        /// The number that came.
        got: u64,
    },
    /// A contribution of more bytes than allowed (P-27).
    #[error(
        "a contribution was announced with {got} bytes, expected at most {most}; merge equal rows, \
         or allow more with `largest_contribution`"
    )]
    Large {
        /// The bytes up to the section that exceeds the limit.
        got: usize,
        /// The limit.
        most: usize,
    },
    /// The replica began a later contribution already.
    #[error("{got} comes after {staged}; a replica's contributions have ascending numbers")]
    Older {
        /// The later one.
        staged: Contribution,
        /// The contribution that came.
        got: Contribution,
    },
    /// A contribution that was admitted or discarded, or is older than one that was.
    #[error("{contribution} was decided on; it is not staged again")]
    Decided {
        /// The contribution.
        contribution: Contribution,
    },
    /// Data of a contribution that was not begun, or was replaced or discarded.
    #[error("{contribution} was not begun here, or is no longer wanted")]
    Unknown {
        /// The contribution.
        contribution: Contribution,
    },
    /// Data for a section that was not announced.
    #[error("{contribution} has {sections} sections; there is no section {got}, from 0")]
    Section {
        /// The contribution.
        contribution: Contribution,
        /// The number given.
        got: usize,
        /// How many were announced.
        sections: usize,
    },
    /// More bytes than were announced.
    #[error("{got} bytes came for part `{name}`; {expected} were still expected")]
    TooMany {
        /// The part.
        name: String,
        /// The bytes still expected.
        expected: usize,
        /// The bytes that came.
        got: usize,
    },
    /// Bytes that end within a number.
    #[error("{got} bytes came for part `{name}`; send whole elements of {element} bytes")]
    Torn {
        /// The part.
        name: String,
        /// The bytes of one element.
        element: usize,
        /// The bytes that came.
        got: usize,
    },
    /// Unknown rows of the part.
    #[error("the sparse gradient of part `{name}` does not fit")]
    Slices {
        /// The part.
        name: String,
        /// The cause.
        #[source]
        source: SlicesError,
    },
}

/// Why a shard was not built, or could not admit or apply. Training cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// Initial values do not fit the parts.
    #[error("initial value {position} has shape {got:?}; part `{name}` has shape {expected:?}")]
    Initial {
        /// The part's place.
        position: usize,
        /// The part.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The value's shape.
        got: Vec<usize>,
    },
    /// The number of initial values differs from that of the parts.
    #[error("{got} initial values came for {expected} parts")]
    Count {
        /// The number of parts.
        expected: usize,
        /// The number of values.
        got: usize,
    },
    /// bf16 stands for `f32` alone.
    #[error("bf16 on the wire is for variables of f32; these have elements of {got} bytes")]
    NumberFormat {
        /// The bytes of an element.
        got: usize,
    },
    /// Its formula cannot be rebuilt from what is known of it.
    #[error("the optimizer `{name}` is a program's own; it begins in a server of that program")]
    OwnOptimizer {
        /// Its name.
        name: &'static str,
    },
    /// The optimizer's numbers.
    #[error(transparent)]
    Optimizer(#[from] optim::BuildError),
    /// A table cannot be trained this way.
    #[error(transparent)]
    Table(#[from] sync_replicas::store::TableSetupError),
    /// A part cannot have slots.
    #[error(transparent)]
    Slots(#[from] optim::AddVariableError),
    /// The moving average's decay is out of range.
    #[error(transparent)]
    Decay(#[from] optim::HyperParameterError),
    /// A part cannot be averaged.
    #[error(transparent)]
    Average(#[from] optim::MovingAverageError),
    /// Two parts of one name.
    #[error(transparent)]
    Name(#[from] sync_replicas::error::VariableError),
    /// The coordinator admitted a contribution that is not wholly staged here.
    #[error("{contribution} is to be admitted, but is not wholly staged here")]
    NotStaged {
        /// The contribution.
        contribution: Contribution,
    },
    /// The gradient differs in kind from that of the first contribution.
    #[error("{contribution} does not fit: {source}")]
    Kind {
        /// The contribution.
        contribution: Contribution,
        /// Which part.
        source: StageError,
    },
    /// A gradient that was checked was refused by the sums.
    #[error("the gradient of part `{name}` cannot be added")]
    Sum {
        /// The part.
        name: String,
        /// The cause.
        #[source]
        source: accum_core::ApplyError,
    },
    /// An order of another life of the shared state (P-9).
    #[error("an update of {got} came, but {expected} is under way; begin the generation first")]
    Generation {
        /// The life under way.
        expected: Generation,
        /// The life of the order.
        got: Generation,
    },
    /// An update failed.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Why a saved state was not taken over, put together or taken apart. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("the saved state does not fit: {what}")]
pub struct StateError {
    /// What was expected and what came.
    pub what: String,
}
