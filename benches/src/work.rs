//! The rows' work, by pillar: each through the public API, as a user would call it.

pub(crate) mod cluster;
pub(crate) mod commit;
pub(crate) mod dense;
pub(crate) mod lookups;
pub(crate) mod parts;
pub(crate) mod process;
pub(crate) mod push;
pub(crate) mod queue;
mod relay;
pub(crate) mod simulated;
pub(crate) mod sparse;
pub(crate) mod step;
pub(crate) mod tables;
pub(crate) mod tcp;
pub(crate) mod trained;
pub(crate) mod update;

use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Work;

/// Runs both on the pool that the caller is in.
fn on_pool(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    rayon::join(first, second);
}

/// Work that may be spread over a pool of so many threads, and over no more.
pub(crate) struct OnPool<W> {
    pool: ThreadPool,
    work: W,
}

impl<W> OnPool<W> {
    pub(crate) fn new(threads: usize, work: W) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Self { pool: pool.expect("so few threads can be started"), work }
    }
}

impl<W: Work + Send> Work for OnPool<W> {
    fn run(&mut self, times: u64) -> Duration {
        let work = &mut self.work;
        self.pool.install(|| work.run(times))
    }
}
