//! From a file of rows to a trained model and its predictions.
//!
//! Knows arrays, variables, tables and gradients; replicas, steps and options are others'.
//!
//! # Examples
//! A step of gradient descent on the handwritten digits:
//! ```
//! use sync_replicas::Gradient;
//! use tabular::data::{Choices, Content, Dataset, TestRows};
//! use tabular::models::{Kind, Network};
//!
//! let digits = Content::of_bytes(tabular::DIGITS, "digits.csv.gz")?;
//! let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
//! let data = Dataset::new(digits, &choices, TestRows::OfTheFile)?;
//! let model = Network::new(Kind::Softmax, &data.features)?;
//! let mut variables = model.variables(0)?;
//!
//! let batch = model.batch(data.train.reader()?.examples(0..100)?);
//! let loss = |variables: &_| model.gradients(variables, &batch, |_| unreachable!("no tables"));
//! let (before, gradients) = loss(&variables)?;
//! for (name, gradient) in gradients.iter() {
//!     let place = variables.names().position(|it| it == name).ok_or("expected a variable")?;
//!     if let Gradient::Dense(gradient) = gradient {
//!         *variables.get_mut(place) -= &(gradient * 0.1);
//!     }
//! }
//! assert!(loss(&variables)?.0 < before);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a file as columns and rows, read batch by batch | [`data::Dataset`], with [`data::Choices`] |
//! | a model over its columns | [`models::Network`], of a [`models::Kind`] |
//! | how good predictions are, beside the base rate | [`scores`] |
//! | a prediction for each row of another file | [`predict`] |
//! | a file to try it with | [`DIGITS`] |

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
/// `data/README.md` says whose work they are.
pub const DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");
