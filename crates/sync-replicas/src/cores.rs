//! Large work on all cores: rayon's pool carries out what the pillars cut into parts.
//!
//! The pool starts with the first piece of work that is large enough to be cut.

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use accum_core::SparseSums;
use optim::OptimizerState;

use crate::Scalar;

/// Lets an optimizer's large updates run on rayon's pool, which starts with the first of them.
///
/// [`SyncReplicas::build`](crate::SyncReplicas::build) does it; this is for whoever carries out the
/// engine in another way.
#[must_use]
pub fn on_all_cores<T: Scalar>(optimizer: OptimizerState<T>) -> OptimizerState<T> {
    optimizer.side_by_side(count(), join)
}

/// The same for the sums of large sparse gradients.
pub(crate) fn sums_on_all_cores<T: Scalar>(sums: SparseSums<T>) -> SparseSums<T> {
    sums.side_by_side(count(), join)
}

fn count() -> usize {
    // Asking the system takes long.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

fn join(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    rayon::join(first, second);
}
