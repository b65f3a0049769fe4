//! Why a trace was not passed: where in it, and what differed.

use std::fmt;

/// The first difference between a trace and its replay, or why there was none to replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {difference}")]
#[non_exhaustive]
pub struct Failure {
    /// Where in the trace.
    pub place: Place,
    /// What came and what was expected.
    pub difference: String,
}

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file as a whole: it cannot be read, or is no trace.
    File,
    /// What the trace begins with, before its first operation.
    Start,
    /// One operation, step or event.
    Operation {
        /// Its number, from 0.
        number: usize,
        /// What it was.
        name: String,
    },
    /// What was left when the last operation was over.
    End,
    /// The replay panicked, wherever that was.
    Panic,
}

impl Failure {
    pub(crate) fn new(place: Place, difference: impl fmt::Display) -> Self {
        Self { place, difference: difference.to_string() }
    }

    pub(crate) fn start(difference: impl fmt::Display) -> Self {
        Self::new(Place::Start, difference)
    }

    pub(crate) fn at(number: usize, name: &str, difference: impl fmt::Display) -> Self {
        Self::new(Place::Operation { number, name: name.to_owned() }, difference)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Start => f.write_str("before the first operation"),
            Self::Operation { number, name } => write!(f, "operation {number} ({name})"),
            Self::End => f.write_str("after the last operation"),
            Self::Panic => f.write_str("a panic"),
        }
    }
}
