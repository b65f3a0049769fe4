//! Every crate beside its reference model, in random histories, with the work counted.
//!
//! The models that users may want are the crates' own (feature `test-util`); here are those of
//! hooks' coordinator and session manager, and the properties that no step-by-step model states.
//! All are run here. Invariant: a report counts what was really run.

mod coordinator;
mod gate;
mod run;
mod shapes;
mod start;

use accum_core::test_util as accum;
use accum_core::{ConditionalAccumulator, SparseConditionalAccumulator};

use embedding_table::test_util::History;

pub use run::{Model, Report, Size};

/// All models, in the order of the crates' floors.
pub fn all() -> Vec<Model> {
    let each = vec![
        model!("accum-core/dense", accum::Against<ConditionalAccumulator<f64>>),
        model!("accum-core/sparse", accum::Against<SparseConditionalAccumulator<f64>>),
        property!("accum-core/gate", gate::answers_are_the_models),
        property!("embedding-table/rows", |runner| {
            let histories = History::up_to(runner.longest());
            runner.histories(&histories, History::len, |history| history.check())
        }),
        model!("token-queue/unbounded", token_queue::test_util::Unbounded),
        model!("token-queue/bounded", token_queue::test_util::Bounded),
        model!("hooks/coordinator", coordinator::CoordinatorTest),
        model!("hooks/start", start::StartTest),
        model!("hooks/session", hooks::test_util::LifeTest),
        model!("engine/machine", engine::test_util::EngineTest),
    ];
    each.into_iter().chain(shapes::all()).collect()
}

/// Keeps the README's program compiling and running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
