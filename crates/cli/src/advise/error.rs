//! Why there is no advice.

use cluster::exit::Exit;
use simulator::advice::AdviceError;

use super::run::RunError;
use crate::say::JsonError;
use crate::simulate::SimulateError;

/// Why there is no advice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A plan cannot be read, or a figure not be written.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The question cannot be answered.
    #[error(transparent)]
    Advice(#[from] AdviceError),
    /// An invalid law.
    #[error("{option} {text}: {problem}")]
    Law {
        /// Which option.
        option: &'static str,
        /// What it was given.
        text: String,
        /// Why not.
        problem: String,
    },
    /// Nobody has the answer.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Neither question was asked.
    #[error(
        "nothing to plan: give --machines N (a fixed fleet), --gradients A (a fixed batch), or both"
    )]
    NoQuestion,
}

impl PlanError {
    /// The exit status of the program: what is wrong is wrong with what was given, but for an
    /// answer that nobody has.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if matches!(self, Self::Json(_)) { Exit::Failed } else { Exit::Usage }
    }
}
