//! Models in burn, trained by [`sync_replicas`]: the loss is written down, and its gradients come
//! from burn's automatic differentiation.
//!
//! # Examples
//! Four replicas, of which the fastest three make each update, fit a line:
//! ```
//! use burn::nn::loss::{MseLoss, Reduction};
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Tensor};
//! use optim::Adam;
//! use sync_replicas::{Hooks, SyncReplicas};
//! use sync_replicas_burn::BurnModel;
//!
//! let device = Device::flex();
//! let x = Tensor::<1>::from_floats([-1.0, -0.5, 0.5, 1.0], &device).reshape([4, 1]);
//! let y = x.clone() * 3.0 + 1.0;
//!
//! let model = BurnModel::new(
//!     &device,
//!     |device| LinearConfig::new(1, 1).init(device),
//!     |line: &Linear, (x, y): &(Tensor<2>, Tensor<2>), _work| {
//!         MseLoss::new().forward(line.forward(x.clone()), y.clone(), Reduction::Mean)
//!     },
//! );
//! let trainer = SyncReplicas::new(Adam::new(0.1))
//!     .replicas_to_aggregate(3)
//!     .total_num_replicas(4)
//!     .build(model.variables()?)?;
//! let data = |_replica| std::iter::repeat((x.clone(), y.clone()));
//! trainer.fit(&model, data, Hooks::new().stop_at_step(300))?;
//!
//! let line = model.module(&trainer.snapshot().variables)?;
//! let at_half: f32 = line.forward(Tensor::<2>::from_floats([[0.5]], &device)).into_scalar();
//! assert!((at_half - 2.5).abs() < 0.05, "{at_half}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a model: how its module is built, and its loss | [`BurnModel::new`] |
//! | its first values, the same at every run | [`BurnModel::variables`], [`BurnModel::seed`] |
//! | the trained module, and from it burn's own file | [`BurnModel::module`] |
//! | batches of a type of your own | [`Batch`] |
//! | double precision | [`BurnModel::in_f64`] |

mod error;
mod model;
mod walk;

pub use error::BurnError;
pub use model::{Batch, BurnModel};
pub use walk::Float;

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
