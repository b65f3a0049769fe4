//! The table itself: every row with its target, and the ceilings.
//!
//! Sizes are those of `f32`: 1 KB is 256 elements, 1 MB is 256 K. A dense push or update moves 12
//! bytes an element, as `a += b` does: two are read, one is written.

use std::process::Command;

use accum_core::Summation;
use optim::{Adam, Sgd};

use crate::bare_step::BareStep;
use crate::ceilings::{Barrier, Memory, PingPong};
use crate::work::dense::{Cycle, HeldAndTaken, MeanAndUpdate, Part, Push, PushesAndTake};
use crate::work::push::Registered;
use crate::work::queue::{Alone, ThereAndBack};
use crate::work::step::{Given, Replicas, Tasks, Threads};
use crate::work::update::Update;
use crate::work::{OnPool, sparse};
use crate::{Bound, Measure, Row, Target, Unit, Work};

use Target::{AtLeast, AtMost, RatioAtLeast, RatioAtMost};
use Unit::{
    Count, GigabytesPerSecond, Microseconds, MillionsPerSecond, Milliseconds, Nanoseconds,
    PerSecond,
};

/// Elements in 1 KB, 1 MB, and in 64 and 256 of these.
const KB: usize = 256;
const MB: usize = 1024 * KB;

/// The large model: 100 MB of parameters.
pub(crate) const LARGE: usize = 25_000_000;

/// What is read to see how noisy a run is.
pub(crate) const NOISE: usize = 64 * MB;

/// Bytes of a read of 256 MB, which no cache holds.
const READ: f64 = bytes(256 * MB, 1);

/// Bytes that `streams` streams over `elements` elements move.
pub(crate) const fn bytes(elements: usize, streams: usize) -> f64 {
    (elements * streams * size_of::<f32>()) as f64
}

pub(crate) fn boxed(work: impl Work + 'static) -> Box<dyn Work> {
    Box::new(work)
}

pub(crate) const fn timed(
    name: &'static str,
    (unit, amount): (Unit, f64),
    work: fn() -> Box<dyn Work>,
    bound: Option<Bound>,
    targets: &'static [Target],
) -> Row {
    Row { name, unit, measure: Measure::Timed { amount, work }, bound, targets }
}

const fn ceiling(name: &'static str, bytes: f64, work: fn() -> Box<dyn Work>) -> Row {
    timed(name, (GigabytesPerSecond, bytes), work, None, &[])
}

pub(crate) const fn bound(
    name: &'static str,
    amount: f64,
    work: fn() -> Box<dyn Work>,
) -> Option<Bound> {
    Some(Bound { name, amount, work })
}

/// What `a += b` does on so many elements.
const fn add(elements: usize) -> (Unit, f64) {
    (GigabytesPerSecond, bytes(elements, 3))
}

/// What the machine can do.
pub const CEILINGS: &[Row] = &[
    ceiling("ceiling/read/1MB/1_thread", bytes(MB, 1), || boxed(Memory::read(MB, 1))),
    ceiling("ceiling/read/1MB/2_threads", bytes(MB, 1), || boxed(Memory::read(MB, 2))),
    ceiling("ceiling/read/64MB/1_thread", bytes(64 * MB, 1), || boxed(Memory::read(64 * MB, 1))),
    ceiling("ceiling/read/64MB/2_threads", bytes(64 * MB, 1), || boxed(Memory::read(64 * MB, 2))),
    ceiling("ceiling/read/100MB/1_thread", bytes(LARGE, 1), || boxed(Memory::read(LARGE, 1))),
    ceiling("ceiling/read/100MB/2_threads", bytes(LARGE, 1), || boxed(Memory::read(LARGE, 2))),
    ceiling("ceiling/read/256MB/1_thread", bytes(256 * MB, 1), || boxed(Memory::read(256 * MB, 1))),
    ceiling("ceiling/read/256MB/2_threads", bytes(256 * MB, 1), || {
        boxed(Memory::read(256 * MB, 2))
    }),
    ceiling("ceiling/add/1MB/1_thread", bytes(MB, 3), || boxed(Memory::add(MB, 1))),
    ceiling("ceiling/add/1MB/2_threads", bytes(MB, 3), || boxed(Memory::add(MB, 2))),
    ceiling("ceiling/add/64MB/1_thread", bytes(64 * MB, 3), || boxed(Memory::add(64 * MB, 1))),
    ceiling("ceiling/add/64MB/2_threads", bytes(64 * MB, 3), || boxed(Memory::add(64 * MB, 2))),
    ceiling("ceiling/add/100MB/1_thread", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 1))),
    ceiling("ceiling/add/100MB/2_threads", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 2))),
    ceiling("ceiling/add/256MB/1_thread", bytes(256 * MB, 3), || boxed(Memory::add(256 * MB, 1))),
    ceiling("ceiling/add/256MB/2_threads", bytes(256 * MB, 3), || boxed(Memory::add(256 * MB, 2))),
    ceiling("ceiling/copy/1MB/1_thread", bytes(MB, 2), || boxed(Memory::copy(MB, 1))),
    ceiling("ceiling/copy/1MB/2_threads", bytes(MB, 2), || boxed(Memory::copy(MB, 2))),
    ceiling("ceiling/copy/64MB/1_thread", bytes(64 * MB, 2), || boxed(Memory::copy(64 * MB, 1))),
    ceiling("ceiling/copy/64MB/2_threads", bytes(64 * MB, 2), || boxed(Memory::copy(64 * MB, 2))),
    ceiling("ceiling/copy/100MB/1_thread", bytes(LARGE, 2), || boxed(Memory::copy(LARGE, 1))),
    ceiling("ceiling/copy/100MB/2_threads", bytes(LARGE, 2), || boxed(Memory::copy(LARGE, 2))),
    ceiling("ceiling/copy/256MB/1_thread", bytes(256 * MB, 2), || boxed(Memory::copy(256 * MB, 1))),
    ceiling("ceiling/copy/256MB/2_threads", bytes(256 * MB, 2), || {
        boxed(Memory::copy(256 * MB, 2))
    }),
    timed("ceiling/barrier/4_threads", (PerSecond, 1.0), || boxed(Barrier::new(4)), None, &[]),
    timed("ceiling/barrier/16_threads", (PerSecond, 1.0), || boxed(Barrier::new(16)), None, &[]),
    timed("ceiling/barrier/64_threads", (PerSecond, 1.0), || boxed(Barrier::new(64)), None, &[]),
    timed("ceiling/condvar_ping_pong", (Microseconds, 1.0), || boxed(PingPong), None, &[]),
];

/// All rows, each with its target.
pub const ROWS: &[Row] = &[
    timed(
        "dense_push/64MB/2_threads",
        (GigabytesPerSecond, bytes(2 * 64 * MB, 3)),
        || boxed(Push::new(64 * MB, 2)),
        bound("add/64MB/2_threads", bytes(64 * MB, 3), || boxed(Memory::add(64 * MB, 2))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "dense_push/256MB/2_threads",
        (GigabytesPerSecond, bytes(2 * 256 * MB, 3)),
        || boxed(Push::new(256 * MB, 2)),
        bound("add/256MB/2_threads", bytes(256 * MB, 3), || boxed(Memory::add(256 * MB, 2))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "dense_push/1MB/1_thread",
        add(MB),
        || boxed(Push::new(MB, 1)),
        bound("add/1MB/1_thread", bytes(MB, 3), || boxed(Memory::add(MB, 1))),
        &[RatioAtLeast(0.85)],
    ),
    timed(
        "dense_push/1KB/1_thread",
        (Nanoseconds, 1.0),
        || boxed(Push::new(KB, 1)),
        None,
        &[AtMost(150.0)],
    ),
    timed(
        "dense_step/1KB/16_pushes",
        (Microseconds, 1.0),
        || boxed(PushesAndTake::new(KB, 16)),
        None,
        &[AtMost(4.0)],
    ),
    timed(
        "dense_step/1MB/16_pushes",
        (Milliseconds, 1.0),
        || boxed(PushesAndTake::new(MB, 16)),
        bound("read/17MB/1_thread", 1.0, || boxed(Memory::read(17 * MB, 1))),
        &[AtMost(0.35)],
    ),
    timed(
        "dense_step_held/1MB/16_pushes",
        (Milliseconds, 1.0),
        || boxed(HeldAndTaken::new(MB, 16)),
        bound("read/17MB/1_thread", 1.0, || boxed(Memory::read(17 * MB, 1))),
        &[AtMost(0.35)],
    ),
    timed(
        "mean_and_update/64MB/4_held/2_threads",
        (GigabytesPerSecond, bytes(64 * MB, 4 + 2)),
        || boxed(OnPool::new(2, MeanAndUpdate::new(64 * MB, 4))),
        bound("read/256MB/2_threads", READ, || boxed(Memory::read(256 * MB, 2))),
        &[RatioAtLeast(0.8)],
    ),
    timed(
        "mean_and_update/64MB/16_held/2_threads",
        (GigabytesPerSecond, bytes(64 * MB, 16 + 2)),
        || boxed(OnPool::new(2, MeanAndUpdate::new(64 * MB, 16))),
        bound("read/256MB/2_threads", READ, || boxed(Memory::read(256 * MB, 2))),
        &[RatioAtLeast(0.8)],
    ),
    timed(
        "first_push_owned/64MB",
        (Microseconds, 1.0),
        || boxed(Cycle::new(64 * MB, Part::FirstPush)),
        None,
        &[AtMost(10.0)],
    ),
    timed(
        "take_undivided/64MB",
        (Microseconds, 1.0),
        || boxed(Cycle::new(64 * MB, Part::Take)),
        None,
        &[AtMost(10.0)],
    ),
    timed(
        "sparse_step/1e3x64/16_pushes",
        (Milliseconds, 1.0),
        || boxed(sparse::PushesAndTake::new(1_000, 16, Summation::Held, 1)),
        None,
        &[AtMost(0.5)],
    ),
    timed(
        "sparse_step/1e5x64/16_pushes/1_thread",
        (Milliseconds, 1.0),
        || boxed(OnPool::new(1, sparse::PushesAndTake::new(100_000, 16, Summation::Held, 2))),
        None,
        &[AtMost(140.0)],
    ),
    timed(
        "sparse_step/1e5x64/16_pushes/2_threads",
        (Milliseconds, 1.0),
        || boxed(OnPool::new(2, sparse::PushesAndTake::new(100_000, 16, Summation::Held, 2))),
        None,
        &[AtMost(90.0)],
    ),
    timed(
        "sparse_step_eager/1e3x64/16_pushes",
        (Milliseconds, 1.0),
        || boxed(sparse::PushesAndTake::new(1_000, 16, Summation::Eager, 1)),
        None,
        &[],
    ),
    timed(
        "sparse_step_eager/1e5x64/16_pushes",
        (Milliseconds, 1.0),
        || boxed(sparse::PushesAndTake::new(100_000, 16, Summation::Eager, 1)),
        None,
        &[],
    ),
    timed(
        "token/there_and_back/2_threads",
        (Microseconds, 1.0),
        || boxed(ThereAndBack),
        bound("condvar_ping_pong", 1.0, || boxed(PingPong)),
        &[RatioAtMost(0.25)],
    ),
    timed(
        "token/alone/1_thread",
        (MillionsPerSecond, 1.0),
        || boxed(Alone::new()),
        None,
        &[AtLeast(20.0)],
    ),
    timed(
        "step/1e3/1_replica",
        (PerSecond, 1.0),
        || boxed(Threads(Replicas::new(1, 1_000))),
        None,
        &[AtLeast(500_000.0)],
    ),
    timed(
        "step/1e3/4_threads",
        (PerSecond, 1.0),
        || boxed(Threads(Replicas::new(4, 1_000))),
        bound("barrier/4_threads", 1.0, || boxed(Barrier::new(4))),
        &[RatioAtLeast(0.8)],
    ),
    timed(
        "step/1e3/4_threads/recorded",
        (PerSecond, 1.0),
        || boxed(Threads(Replicas::recorded(4, 1_000))),
        bound("step/1e3/4_threads", 1.0, || boxed(Threads(Replicas::new(4, 1_000)))),
        &[RatioAtLeast(0.95)],
    ),
    timed(
        "step/1e3/16_threads",
        (PerSecond, 1.0),
        || boxed(Threads(Replicas::new(16, 1_000))),
        bound("barrier/16_threads", 1.0, || boxed(Barrier::new(16))),
        &[RatioAtLeast(0.8)],
    ),
    timed(
        "step/1e3/64_threads",
        (PerSecond, 1.0),
        || boxed(Threads(Replicas::new(64, 1_000))),
        bound("barrier/64_threads", 1.0, || boxed(Barrier::new(64))),
        &[RatioAtLeast(0.8)],
    ),
    timed(
        "step/1e3/4_tasks",
        (PerSecond, 1.0),
        || boxed(Tasks::new(4, 1_000)),
        bound("bare_step/4_tasks", 1.0, || boxed(BareStep::new(4, 1_000))),
        &[AtLeast(200_000.0)],
    ),
    timed(
        "step/1e3/16_tasks",
        (PerSecond, 1.0),
        || boxed(Tasks::new(16, 1_000)),
        bound("bare_step/16_tasks", 1.0, || boxed(BareStep::new(16, 1_000))),
        &[AtLeast(60_000.0)],
    ),
    timed(
        "step/1e3/64_tasks",
        (PerSecond, 1.0),
        || boxed(Tasks::new(64, 1_000)),
        bound("bare_step/64_tasks", 1.0, || boxed(BareStep::new(64, 1_000))),
        &[AtLeast(20_000.0)],
    ),
    timed(
        "step/2.5e7/1_replica",
        (PerSecond, 1.0),
        || boxed(Given::new(1, LARGE)),
        bound("read/256MB/2_threads", READ / bytes(LARGE, 1 + 2), || {
            boxed(Memory::read(256 * MB, 2))
        }),
        &[RatioAtLeast(0.8), AtLeast(70.0)],
    ),
    timed(
        "step/2.5e7/4_replicas",
        (PerSecond, 1.0),
        || boxed(Given::new(4, LARGE)),
        bound("read/256MB/2_threads", READ / bytes(LARGE, 4 + 2), || {
            boxed(Memory::read(256 * MB, 2))
        }),
        &[RatioAtLeast(0.8), AtLeast(43.0)],
    ),
    timed(
        "update/sgd/2.5e7/1_thread",
        (GigabytesPerSecond, bytes(LARGE, 3)),
        || boxed(OnPool::new(1, Update::new(Sgd::new(1e-3), LARGE))),
        bound("add/100MB/1_thread", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 1))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "update/sgd/2.5e7/2_threads",
        (GigabytesPerSecond, bytes(LARGE, 3)),
        || boxed(OnPool::new(2, Update::new(Sgd::new(1e-3), LARGE))),
        bound("add/100MB/2_threads", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 2))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "update/adam/2.5e7/1_thread",
        (GigabytesPerSecond, bytes(LARGE, 7)),
        || boxed(OnPool::new(1, Update::new(Adam::new(1e-3), LARGE))),
        bound("add/100MB/1_thread", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 1))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "update/adam/2.5e7/2_threads",
        (GigabytesPerSecond, bytes(LARGE, 7)),
        || boxed(OnPool::new(2, Update::new(Adam::new(1e-3), LARGE))),
        bound("add/100MB/2_threads", bytes(LARGE, 3), || boxed(Memory::add(LARGE, 2))),
        &[RatioAtLeast(0.9)],
    ),
    timed(
        "push/10_registered",
        (Nanoseconds, Registered::pushes(10)),
        || boxed(Registered::new(10)),
        bound("push/10_registered", Registered::pushes(10), || boxed(Registered::new(10))),
        &[RatioAtMost(1.5)],
    ),
    timed(
        "push/1000_registered",
        (Nanoseconds, Registered::pushes(1_000)),
        || boxed(Registered::new(1_000)),
        bound("push/10_registered", Registered::pushes(10), || boxed(Registered::new(10))),
        &[RatioAtMost(1.5)],
    ),
    timed(
        "push/10000_registered",
        (Nanoseconds, Registered::pushes(10_000)),
        || boxed(Registered::new(10_000)),
        bound("push/10_registered", Registered::pushes(10), || boxed(Registered::new(10))),
        &[RatioAtMost(1.5)],
    ),
    Row {
        name: "allocations_of_4KB/step",
        unit: Count,
        measure: Measure::Counted(allocations),
        bound: None,
        targets: &[AtMost(0.0)],
    },
];

/// Counted by the program `allocations`, beside this one: the allocator that counts is not the one
/// that the other rows should be measured with.
fn allocations() -> Result<f64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let counting = own.with_file_name(format!("allocations{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&counting).output();
    let output = output.map_err(|error| format!("{}: {error}", counting.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("expected a number from `allocations`, got {text:?}"))
}
