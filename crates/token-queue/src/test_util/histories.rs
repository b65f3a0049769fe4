//! Histories of operations: the model as proptest runs it.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::{Op, QueueModel, op};

/// Histories of an unbounded queue.
#[derive(Debug)]
pub struct AnyUnbounded;

/// Histories of a queue with room for one to four tokens.
#[derive(Debug)]
pub struct AnyBounded;

macro_rules! histories {
    ($name:ident, $model:expr) => {
        impl ReferenceStateMachine for $name {
            type State = QueueModel;
            type Transition = Op;

            fn init_state() -> BoxedStrategy<QueueModel> {
                $model.boxed()
            }

            fn transitions(_: &QueueModel) -> BoxedStrategy<Op> {
                op().boxed()
            }

            fn apply(mut model: QueueModel, op: &Op) -> QueueModel {
                model.apply(op);
                model
            }
        }
    };
}

histories!(AnyUnbounded, Just(QueueModel::new(None)));
histories!(AnyBounded, (1..5usize).prop_map(|capacity| QueueModel::new(Some(capacity))));
