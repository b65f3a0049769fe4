//! The program `sync-replicas`: it trains a model on a file of rows, or on real handwritten digits,
//! with replicas and backups, and writes down what happened.
//!
//! The rules of training are the `sync-replicas` crate's; here are data, models, options, and the
//! pages of a run. As a library it serves the program's tests, and programs that want its parts:
//!
//! ```
//! use clap::Parser;
//! use cli::args::Cli;
//! use cli::commands::train::train;
//! use cli::settings::Settings;
//! use cli::system::interrupt::Interrupt;
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
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | the whole program, from words to an exit status | [`program`] |
//! | a command line, with the file of `--config` in it | [`command_line`], [`args`] |
//! | what the options mean together | [`settings::Settings`] |
//! | what a command does | [`commands`] |
//! | why a command fails, and the exit status | [`error`] |
//! | what a run came to | [`run::summary`] |
//! | charts as SVG | [`pages::drawing`] |
//! | Ctrl-C | [`system::interrupt`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod args;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod error;
mod lock;
mod optional;
pub mod pages;
pub mod program;
pub mod run;
pub mod settings;
pub mod system;
pub mod units;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
