//! Replays of sparse accumulators.

use accum_core::{IndexedSlices, SparseAccumulator, SparseConditionalAccumulator, SparseOptions};
use sync_replicas::Scalar;

use super::accumulator::{self, declared, reduction};
use crate::Failure;
use crate::trace::{AccumulatorTrace, Outcome, Slices, SparsePush, Tensor};

pub(super) fn replay<E: Scalar>(trace: &AccumulatorTrace<SparsePush>) -> Result<(), Failure> {
    let options = SparseOptions::reference(); // P-16
    let plain = SparseAccumulator::<E>::with_options(declared(trace)?, reduction(trace), options);
    let push = |push: &SparsePush| {
        // Built field by field: whether the parts fit is for the accumulator to say.
        let gradient = IndexedSlices {
            indices: push.indices.clone(),
            values: push.values.to::<E>(),
            dense_shape: push.dense_shape.clone(),
        };
        (gradient.into(), push.local_step)
    };
    let shared = SparseConditionalAccumulator::from(plain);
    accumulator::replay(&shared, trace, push, outcome::<E>)
}

fn outcome<E: Scalar>(taken: IndexedSlices<E>) -> Outcome {
    Outcome::Slices(Slices {
        indices: taken.indices,
        value: Tensor::from(&taken.values),
        dense_shape: taken.dense_shape.unwrap_or_default(),
    })
}
