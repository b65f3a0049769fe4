//! For drivers that carry out the engine's decisions in another way than
//! [`Trainer`](crate::Trainer), as the crate `cluster` does: a description in its parts, and what
//! hooks and models see.
//!
//! These are seams between the crates of this project: they change more often than the rest.

pub use accum_core::LocalStep;
pub use engine::{Generation, Incarnation};

pub use crate::builder::Parts;
pub use crate::cores::on_all_cores;
#[cfg(feature = "test-util")]
pub use crate::engine::test_util;
pub use crate::failure::{describe, describe_panic, printable, with_causes};
pub use crate::hook_host::{BoxedHooks, HookHost, TrainingView};
pub use crate::hook_list::ServerDuties;
pub use crate::private_file::{append_private_file, create_private_file, create_private_folder};
pub use crate::runtime::{CancellationSource, GradientBuffers, Lent, StepOf};
