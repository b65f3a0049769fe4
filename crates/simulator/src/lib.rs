//! The engine in virtual time.
//!
//! Nothing here decides what is admitted or which replica gets a token: that is the engine's, the
//! same one that trains. The code here draws times from a seed and carries the engine's effects out
//! on an [`EventQueue`] instead of on threads.
//!
//! The invariant: one seed decides everything. No clock is read, nothing depends on an address, a
//! hash map's order or the number of processors, so the same seed gives the same bytes.
//!
//! ```
//! let plan = simulator::Plan::read(
//!     "replicas_to_aggregate = 50\ntotal_num_replicas = 52\nsteps = 500\n\
//!      compute.shifted-exponential = { least = 1, mean_excess = 0.2 }\n",
//! )?;
//! let report = simulator::simulate(&plan).report;
//! assert!((report.step_seconds.mean - 1.61).abs() < 0.03);
//! assert_eq!(report.gradients.accepted, 500 * 50);
//! # Ok::<(), simulator::PlanError>(())
//! ```
//!
//! | for | use |
//! |---|---|
//! | what a run is about, from TOML; those that come along | [`Plan::read`]; [`plans`] |
//! | a run, and what came of it | [`simulate`], an [`Outcome`] with its [`Report`] |
//! | random times | [`Distribution`], [`Episodes`] |
//! | how many backups; who is slow | [`advice`] |
//! | what is published about stragglers, recomputed | [`checks`] |
//! | a simulation of something else | [`EventQueue`] |

pub mod advice;
pub mod checks;
mod computing;
mod distribution;
mod episodes;
mod event_queue;
mod ideal;
mod outcome;
mod plan;
pub mod plans;
mod run;
pub mod stats;
mod stream;

pub use distribution::{
    Above, Correlation, Distribution, NumberError, Probability, Samples, Seconds,
};
pub use episodes::Episodes;
pub use event_queue::EventQueue;
pub use ideal::{Arrival, Arrivals};
pub use outcome::{Gradients, Outcome, Report, TokenBooks};
pub use plan::{Churn, Event, Mode, Plan, PlanError, What};

/// Runs a plan. The same plan gives the same outcome, to the bit.
///
/// A run that can never end says so in [`Report::stuck`], with the steps that it made.
#[must_use]
pub fn simulate(plan: &Plan) -> Outcome {
    match plan.mode {
        Mode::Ideal => ideal::run(plan),
        Mode::Tokens => run::run(plan),
    }
}

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
