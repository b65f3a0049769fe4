//! From a file of rows to a trained model and its predictions.
//!
//! Knows arrays, variables, tables and gradients; replicas, steps and options belong elsewhere.
//!
//! # Examples
//! The gradients of a first batch of handwritten digits:
//! ```
//! use tabular::data::{Choices, Content, Dataset, TestRows};
//! use tabular::models::{Kind, Network};
//!
//! let content = Content::of_bytes(tabular::DIGITS, "the digits")?;
//! let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
//! let data = Dataset::new(content, &choices, TestRows::OfTheFile)?;
//! let model = Network::new(Kind::Mlp { hidden: 32 }, &data.features)?;
//! let variables = model.variables(7)?;
//! let batch = model.batch(data.train.reader()?.examples(0..64)?);
//! let (loss, gradients) =
//!     model.gradients(&variables, &batch, |table| unreachable!("no keys: {table}"))?;
//! assert!(loss > 2.0 && gradients.len() == variables.len());
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a file, in memory or on disk | [`data::Content`] |
//! | which columns are what | [`data::Choices`], [`data::Features`] |
//! | rows to train on and rows to test with | [`data::Dataset`], [`data::Part`] |
//! | rows as numbers and keys | [`data::Encoder`], [`data::Examples`] |
//! | a model of the columns, with gradients written out by hand | [`models::Network`] |
//! | how good predictions are, beside the base rate | [`scores`] |
//! | a prediction for each row of another file | [`predict`] |

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
