//! One run, in one process or in a cluster: its folder, what trains and tests it, and what is
//! written of it.
//!
//! Invariant: it knows settings, and neither a page nor a command, so that all of them can use it.

mod any_state;
pub(crate) mod best;
pub(crate) mod board;
pub(crate) mod early_stop;
pub(crate) mod exports;
pub(crate) mod folder;
pub(crate) mod history;
mod hook;
mod learner;
pub(crate) mod log;
pub(crate) mod metrics;
mod otlp;
mod progress;
mod record;
mod run_line;
mod setup;
pub mod summary;
pub(crate) mod table_rows;
pub(crate) mod tester;
pub(crate) mod trace;

pub(crate) use any_state::AnyState;
pub(crate) use record::{RunOutcome, RunRecord};
pub(crate) use run_line::settings_of;
pub(crate) use setup::{batches, hooks, learner};
