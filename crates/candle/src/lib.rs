//! Models in candle, trained by [`sync_replicas`]: the loss is written down, and its gradients come
//! from candle's automatic differentiation.
//!
//! # Examples
//! Four replicas, of which the fastest three make each update, fit a line:
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use candle_nn::{linear, loss};
//! use optim::Adam;
//! use sync_replicas::{Hooks, SyncReplicas};
//! use sync_replicas_candle::{Batches, CandleModel};
//!
//! let x = Tensor::arange(0_f32, 64.0, &Device::Cpu)?.reshape((64, 1))?.affine(1.0 / 32.0, -1.0)?;
//! let y = x.affine(3.0, 1.0)?;
//!
//! let model = CandleModel::new(
//!     |vb| linear(1, 1, vb.pp("line")),
//!     |net, (x, y): &(Tensor, Tensor), _| loss::mse(&net.forward(x)?, y),
//! );
//! let trainer = SyncReplicas::new(Adam::new(0.1))
//!     .replicas_to_aggregate(3)
//!     .total_num_replicas(4)
//!     .build(model.variables()?)?;
//! let data = Batches::new((x, y), 16)?;
//! trainer.fit(&model, |_replica| data.clone(), Hooks::new().stop_at_step(300))?;
//!
//! let net = model.module(&trainer.snapshot().variables)?;
//! let at_half = net.forward(&Tensor::new(&[[0.5_f32]], &Device::Cpu)?)?.to_vec2::<f32>()?[0][0];
//! assert!((at_half - 2.5).abs() < 0.05, "{at_half}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a model: how its module is built, and its loss | [`CandleModel::new`] |
//! | its first values, the same at every run | [`CandleModel::variables`], [`CandleModel::seed`] |
//! | the trained module | [`CandleModel::module`] |
//! | its file, as candle writes it | [`CandleModel::var_map`], [`CandleModel::load`] |
//! | tensors as shuffled batches, found by number | [`Batches`] |
//! | batches of a type of your own | [`Examples`] |
//! | giving up late work between layers | [`Pass::check`] |
//! | an embedding whose gradient is the rows that a batch used | [`embedding`], [`Embedding`] |
//! | an embedding larger than a machine | [`CandleModel::keys`], [`Pass::rows`] |
//! | half precision, another device | [`CandleModel::dtype`], [`CandleModel::device`], [`device`] |
//! | more than one machine | the crate `cluster`, with the same model |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batches;
mod built;
mod copies;
mod device;
mod embedding;
mod error;
mod float;
mod gradients;
mod initial;
mod model;
mod modules;
mod pass;
mod store;

pub use batches::{Batches, Examples};
pub use device::device;
pub use embedding::{Embedding, embedding};
pub use error::{CandleError, Mismatch};
pub use float::Float;
pub use model::CandleModel;
pub use pass::Pass;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
