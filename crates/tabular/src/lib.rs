//! From a file of rows to a trained model and its predictions.
//!
//! - [`data`]: a CSV file as columns of numbers and keys of tables, split into rows to train on and
//!   rows to test with, read batch by batch
//! - [`models`]: models over those columns, with gradients written out by hand
//! - [`scores`]: how good predictions are, beside the base rate
//! - [`predict`]: a prediction for each row of another file
//!
//! Knows arrays, variables, tables and gradients; replicas, steps and options belong elsewhere.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod data;
pub mod models;
pub mod predict;
pub mod scores;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The handwritten digits, a file like any other: 64 columns of pixels, and `digit`.
///
/// `data/README.md` says who made them.
pub const DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");
