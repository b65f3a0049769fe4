//! Histories of acts: the model as proptest runs it.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::{Act, Kind, StalenessModel, act};

/// Histories of a dense accumulator.
#[derive(Debug)]
pub struct DenseHistories;

/// Histories of a sparse accumulator.
#[derive(Debug)]
pub struct SparseHistories;

macro_rules! histories {
    ($name:ident, $kind:expr) => {
        impl ReferenceStateMachine for $name {
            type State = StalenessModel;
            type Transition = Act;

            fn init_state() -> BoxedStrategy<StalenessModel> {
                Just(StalenessModel::new($kind)).boxed()
            }

            fn transitions(_: &StalenessModel) -> BoxedStrategy<Act> {
                act($kind).boxed()
            }

            fn apply(mut model: StalenessModel, act: &Act) -> StalenessModel {
                model.apply(act);
                model
            }
        }
    };
}

histories!(DenseHistories, Kind::Dense);
histories!(SparseHistories, Kind::Sparse);
