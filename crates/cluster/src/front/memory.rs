//! The machine's memory: its size, and how the system's allocator treats buffers that come and go.

/// Once it has freed a block, Linux's allocator keeps later freed memory, up to twice as much,
/// instead of giving back pages that the next message faults in again. Its largest such size is 32
/// MiB.
const LARGE: usize = 31 << 20;

/// Has freed memory stay with the process: buffers of messages come and go at every step.
pub(super) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// The bytes assumed where the machine does not tell.
const UNKNOWN: u64 = 16_000_000_000;

/// The machine's memory in bytes.
pub(super) fn physical() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").ok();
    told.and_then(|told| total(&told)).unwrap_or(UNKNOWN)
}

/// The line `MemTotal: N kB` of Linux.
fn total(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_what_linux_says() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       2000 kB\n"), Some(2_048_000));
        assert_eq!(total("MemTotal: a lot\n"), None);
        assert_eq!(total(""), None);
        assert!(physical() > 0);
    }
}
