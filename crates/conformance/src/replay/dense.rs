//! Replays of dense accumulators.

use accum_core::{ConditionalAccumulator, DenseAccumulator, DenseOptions};
use sync_replicas::Scalar;

use super::accumulator::{self, declared, reduction};
use crate::Failure;
use crate::trace::{AccumulatorTrace, DensePush, Outcome, Tensor};

pub(super) fn replay<E: Scalar>(trace: &AccumulatorTrace<DensePush>) -> Result<(), Failure> {
    let options = DenseOptions::reference(); // P-16
    let plain = DenseAccumulator::<E>::with_options(declared(trace)?, reduction(trace), options);
    let push = |push: &DensePush| (push.grad.to::<E>().into(), push.local_step);
    let outcome = |value| Outcome::Tensor(Tensor::from::<E>(&value));
    accumulator::replay(&ConditionalAccumulator::from(plain), trace, push, outcome)
}
