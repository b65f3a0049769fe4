//! How the system's allocator treats buffers that come and go.

/// Freed once, it has the allocator of Linux keep what is freed later, up to twice as much, instead
/// of giving pages back that the next message faults in again. Its largest such size is 32 MiB.
const LARGE: usize = 31 << 20;

/// Has freed memory stay with the process: buffers of messages come and go at every step.
pub(super) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}
