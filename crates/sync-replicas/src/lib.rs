//! Synchronous data-parallel training in which slow and dead replicas never hold a step.
//!
//! A step averages the first A fresh gradients of N replicas, drops the late ones, and lets the
//! replicas go on with tokens.
//!
//! # Examples
//! Five replicas, of which the fastest four make each update, find the slope of *y = 3 x*:
//! ```
//! use ndarray::array;
//! use optim::Adam;
//! use sync_replicas::{
//!     BoxError, Computed, Gradients, Hooks, Model, SyncReplicas, Variables, Work,
//! };
//!
//! struct Slope;
//!
//! impl Model<f32> for Slope {
//!     type Batch = (f32, f32);
//!
//!     fn gradients(
//!         &self,
//!         variables: &Variables<f32>,
//!         &(x, y): &(f32, f32),
//!         _work: &Work<'_, f32>,
//!     ) -> Result<Option<Computed<f32>>, BoxError> {
//!         let error = variables.vector("slope")?[0] * x - y;
//!         let gradients = Gradients::new().dense("slope", array![2.0 * error * x]);
//!         Ok(Some(Computed { loss: f64::from(error * error), examples: 1, gradients }))
//!     }
//! }
//!
//! let trainer = SyncReplicas::new(Adam::new(0.05))
//!     .replicas_to_aggregate(4)
//!     .total_num_replicas(5)
//!     .build(Variables::new().with("slope", array![0.0])?)?;
//! let points = |_replica| [(1.0, 3.0), (0.5, 1.5)].into_iter().cycle();
//! trainer.fit(&Slope, points, Hooks::new().stop_at_step(500))?;
//! assert!((trainer.snapshot().variables.vector("slope")?[0] - 3.0).abs() < 0.01);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to reach for
//!
//! | for | use |
//! |---|---|
//! | a training whose loop is this crate's | [`SyncReplicas`], [`Model`], [`Trainer::fit`] |
//! | shuffled batches of data that can be indexed | a [`BatchSampler`] in a [`BatchSource`] |
//! | your own loop, with threads or tasks | [`Trainer::replica`], [`Step::push`] |
//! | a loop that cannot lend its replica | [`Replica::into_step`], an [`OwnedStep`] |
//! | what happens around updates | [`Hooks`], and the crate `hooks` for others |
//! | curves, while it trains | [`Hooks::tensorboard`], [`Hooks::tracker`], [`JsonLines`] |
//! | checkpoints | [`Hooks::checkpoints`], [`Trainer::save`], [`Trainer::restore`] |
//! | embeddings, by key, larger than any array | [`Table`], [`Model::keys`], [`Work::rows`] |
//! | another choice than the defaults | [`options`] |
//! | the same bits at every run | [`SyncReplicas::order`] with [`options::SummationOrder`] |
//! | an end from elsewhere | [`Trainer::stop_handle`], a [`StopHandle`] |
//! | giving up superseded work | [`Work::is_superseded`], a [`Cancellation`] |
//! | what happened, while it happens | [`record::Record`]; at the end, [`Report`] |
//! | how it stands now | [`Trainer::status_handle`], a [`status::Status`] |
//! | more than one machine | the crate `cluster`, with the same [`SyncReplicas`] and [`Model`] |
//! | programs that come from `SyncReplicasOptimizer` | [`tensorflow`], call by call |
//! | acting on the decisions in another way | [`engine`], [`store`], [`driver`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch_sampler;
mod builder;
mod checksum;
mod cores;
mod failure;
mod fit;
mod gradients;
mod hook_host;
mod hook_list;
mod json_lines;
mod layout;
mod lookup;
mod model;
mod private_file;
mod report;
mod runtime;
mod scalar;
mod stored;
mod sync;
mod trainer;
mod variable_error;
mod variables;

pub mod checkpoint;
pub mod driver;
pub mod error;
pub mod options;
pub mod record;
pub mod status;
pub mod store;
pub mod tensorflow;

pub use accum_core::{GlobalStep, IndexedSlices};
pub use batch_sampler::BatchSampler;
pub use builder::SyncReplicas;
pub use embedding_table::{Table, hash_text};
pub use engine;
pub use engine::{Outcome, ReplicaId};
pub use gradients::{Computed, Gradient, Gradients};
pub use hook_host::ChiefSession;
pub use hook_list::Hooks;
pub use json_lines::JsonLines;
pub use lookup::{Keys, Rows};
pub use model::{BatchSource, BoxError, Model};
pub use report::Report;
pub use runtime::{Cancellation, OwnedStep, Replica, Step, StepTables, Work};
pub use scalar::Scalar;
pub use store::Snapshot;
pub use trainer::{SaveHandle, StopHandle, TableReader, Trainer};
pub use variables::Variables;

// Inside the crate they are as near as what they are about.
pub(crate) use builder::BuildError;
pub(crate) use lookup::LookupError;
pub(crate) use runtime::PushError;
pub(crate) use variable_error::VariableError;

/// Keeps the programs of the project's pages compiling and running.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct OwnReadme;

    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;

    #[doc = include_str!("../../../docs/tables.md")]
    struct Tables;

    #[doc = include_str!("../../../docs/migrating.md")]
    struct Migrating;
}
