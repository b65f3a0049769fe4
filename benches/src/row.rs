//! What a row of the table is: a piece of work, a unit, a bound, and targets.
//!
//! Plain data and arithmetic; nothing is measured here.

use std::fmt;
use std::time::Duration;

/// A piece of work that can be done again and again.
pub trait Work {
    /// Does it `times` times, and says how long that took, preparations aside.
    fn run(&mut self, times: u64) -> Duration;
}

/// One line of the table.
pub struct Row {
    /// What it is, how large, by how many: stable, so that results can be compared over time.
    pub name: &'static str,
    /// In what the value is said.
    pub unit: Unit,
    /// How the value is found.
    pub measure: Measure,
    /// What the value is held against.
    pub bound: Option<Bound>,
    /// What is wanted; all of them have to be met.
    pub targets: &'static [Target],
}

/// How a row's value is found.
#[derive(Clone, Copy)]
pub enum Measure {
    /// By the time that work takes.
    Timed {
        /// How many of the unit's things (bytes, steps, tokens, operations) doing it once makes.
        amount: f64,
        /// Prepares the work.
        work: fn() -> Box<dyn Work>,
    },
    /// By counting, which takes no clock; or why that failed.
    Counted(fn() -> Result<f64, String>),
}

/// Something measured in the same run, in turns with the row, and said in the row's unit.
pub struct Bound {
    /// The name of the ceiling, or what it is.
    pub name: &'static str,
    /// How many of the *row's* things the machine would make while it does this once.
    pub amount: f64,
    /// Prepares the work.
    pub work: fn() -> Box<dyn Work>,
}

/// What a value is said in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 10⁹ bytes a second.
    GigabytesPerSecond,
    /// 10⁶ things a second.
    MillionsPerSecond,
    /// Things a second.
    PerSecond,
    /// Nanoseconds a thing.
    Nanoseconds,
    /// Microseconds a thing.
    Microseconds,
    /// Milliseconds a thing.
    Milliseconds,
    /// A plain number of things, whatever the time.
    Count,
}

/// What is wanted of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Value / bound, at least.
    RatioAtLeast(f64),
    /// Value / bound, at most.
    RatioAtMost(f64),
    /// The value, at least.
    AtLeast(f64),
    /// The value, at most.
    AtMost(f64),
}

impl Unit {
    /// The value, when `amount` things took `seconds`; a count is not made from a time.
    #[must_use]
    pub fn value(self, amount: f64, seconds: f64) -> f64 {
        match self {
            Self::GigabytesPerSecond => amount / seconds / 1e9,
            Self::MillionsPerSecond => amount / seconds / 1e6,
            Self::PerSecond => amount / seconds,
            Self::Nanoseconds => seconds / amount * 1e9,
            Self::Microseconds => seconds / amount * 1e6,
            Self::Milliseconds => seconds / amount * 1e3,
            Self::Count => f64::NAN,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GigabytesPerSecond => "GB/s",
            Self::MillionsPerSecond => "M/s",
            Self::PerSecond => "1/s",
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Count => "count",
        })
    }
}

impl Target {
    /// Whether it is met; without a bound there is no ratio, and a target of it is missed.
    #[must_use]
    pub fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        match self {
            Self::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Self::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtLeast(least) => write!(f, "ratio >= {least}"),
            Self::RatioAtMost(most) => write!(f, "ratio <= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}
