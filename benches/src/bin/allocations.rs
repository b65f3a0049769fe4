//! How many allocations of 4 KB and more a steady step of the front door makes; prints the number.
//!
//! Its own program, since its allocator counts: no time is measured here. Four replicas as threads,
//! a model of 4 MB; what the replicas do to hand over a gradient counts as well.

#![allow(clippy::print_stdout, reason = "a tool for a terminal")]

use std::alloc::System;
use std::sync::atomic::{AtomicU64, Ordering};

use benches::Replicas;
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator<System> = Allocator::system();

/// Those of at least [`LARGE`] bytes.
static COUNTED: AtomicU64 = AtomicU64::new(0);

const LARGE: usize = 4096;
const REPLICAS: usize = 4;
const PARAMETERS: usize = 1_000_000;
const STEPS: u64 = 50;

struct Counter;

impl AllocationTracker for Counter {
    fn allocated(&self, _: usize, size: usize, _: usize, _: AllocationGroupId) {
        if size >= LARGE {
            COUNTED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn deallocated(
        &self,
        _: usize,
        _: usize,
        _: usize,
        _: AllocationGroupId,
        _: AllocationGroupId,
    ) {
    }
}

fn main() {
    AllocationRegistry::set_global_tracker(Counter).expect("it is the first");
    let mut replicas = Replicas::new(REPLICAS, PARAMETERS).with_buffers();
    replicas.run_as_threads(STEPS);
    // Starting threads allocates too: what many steps have more than few is theirs alone.
    let few = counted(&mut replicas, STEPS);
    let many = counted(&mut replicas, 2 * STEPS);
    println!("{}", (many.saturating_sub(few)) as f64 / STEPS as f64);
}

fn counted(replicas: &mut Replicas, steps: u64) -> u64 {
    COUNTED.store(0, Ordering::Relaxed);
    AllocationRegistry::enable_tracking();
    replicas.run_as_threads(steps);
    AllocationRegistry::disable_tracking();
    COUNTED.load(Ordering::Relaxed)
}
