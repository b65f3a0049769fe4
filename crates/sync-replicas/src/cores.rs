//! Large work on all cores, in this crate's own pool.
//!
//! A pool runs whatever it holds on a thread that waits for a part of its work. In a pool that the
//! program also uses, that could be a task that waits for the very lock under which the work is
//! done. So no task but this crate's parts ever runs here, and no thread that waits for them runs
//! anything else. The pool starts with the first piece of work large enough to be cut.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{LazyLock, OnceLock};

use accum_core::SparseSums;
use optim::OptimizerState;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Scalar;

/// Lets an optimizer's large updates run on all cores, in a pool that starts with the first of
/// them.
///
/// [`SyncReplicas::build`](crate::SyncReplicas::build) does this; call it in code that carries out
/// the engine in another way.
#[must_use]
pub fn on_all_cores<T: Scalar>(optimizer: OptimizerState<T>) -> OptimizerState<T> {
    optimizer.side_by_side(count(), join)
}

/// The same for the sums of large sparse gradients.
pub(crate) fn sums_on_all_cores<T: Scalar>(sums: SparseSums<T>) -> SparseSums<T> {
    sums.side_by_side(count(), join)
}

thread_local! {
    /// The mark of the update of which this thread runs a part; 0 for none.
    static MARK: Cell<usize> = const { Cell::new(0) };
}

/// The mark of the calling thread.
pub(crate) fn mark() -> usize {
    MARK.get()
}

/// Runs something under a mark, which its parts on other threads also carry.
pub(crate) fn marked<R>(mark: usize, run: impl FnOnce() -> R) -> R {
    /// Even when it panics.
    struct Back(usize);
    impl Drop for Back {
        fn drop(&mut self) {
            MARK.set(self.0);
        }
    }
    let _back = Back(MARK.replace(mark));
    run()
}

fn count() -> usize {
    // Asking the system takes long.
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

/// Runs both, side by side if threads are available.
fn join(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
        let named = |number| format!("sync-replicas-{number}");
        ThreadPoolBuilder::new().thread_name(named).build().ok()
    });
    let Some(pool) = &*POOL else {
        first();
        return second();
    };
    let mark = mark();
    let mut both = || {
        pool.join(|| marked(mark, &mut *first), || marked(mark, &mut *second));
    };
    if pool.current_thread_index().is_none() && rayon::current_thread_index().is_some() {
        // A thread of another pool would run that pool's tasks while it waits; one without a pool
        // only waits.
        let done = std::thread::scope(|scope| scope.spawn(both).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    } else {
        both();
    }
}
