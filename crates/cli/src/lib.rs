//! The program `sync-replicas`: it trains a model on a file of rows, or on real handwritten digits,
//! with replicas and backups, and writes down what happened.
//!
//! The rules of training are the `sync-replicas` crate's; here are data, models, options, and the
//! pages of a run. As a library it serves the program's tests, and programs that want its parts:
//!
//! ```
//! use clap::Parser;
//! use cli::{args::Cli, interrupt::Interrupt, settings::Settings, train::train};
//!
//! let folder = tempfile::tempdir()?;
//! let out = folder.path().join("run");
//! let args = Cli::try_parse_from([
//!     "sync-replicas", "train", "--model", "softmax", "--updates", "20", "--straggler", "none",
//!     "--quiet", "--out", &out.display().to_string(),
//! ])?;
//! let summary = train(&Settings::check(args.into_train())?, &Interrupt::new())?;
//! assert_eq!(summary.updates, 20);
//! assert!(summary.scores.test_accuracy > Some(0.8));
//! assert!(out.join("report.html").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod any_state;
pub mod args;
mod best;
mod board;
pub mod command_line;
pub mod compare;
pub mod config;
pub mod drawing;
mod early_stop;
pub mod error;
mod exports;
mod history;
mod host_time;
pub mod html_report;
pub mod interrupt;
pub mod launch;
mod learner;
mod lengths;
mod lock;
mod measures;
pub mod metrics;
mod model;
pub mod node;
mod observe;
mod optimizers;
mod optional;
mod otlp;
pub mod output;
pub mod plan;
mod ports;
pub mod predict;
pub mod program;
pub mod progress;
pub mod report;
mod resolved;
pub mod run_folder;
mod run_hook;
mod run_log;
mod security;
pub mod settings;
pub mod signals;
pub mod simulate;
pub mod status;
pub mod stop;
pub mod straggler;
pub mod summary;
mod table_rows;
mod tester;
mod trace;
pub mod train;
pub mod units;

pub use learner::Clip;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
