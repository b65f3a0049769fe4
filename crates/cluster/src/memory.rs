//! Memory: the machine's, this process's, and how the system's allocator treats buffers that come
//! and go.

/// Once it has freed a block, Linux's allocator keeps later freed memory, up to twice as much,
/// instead of giving back pages that the next message faults in again. Its largest such size is 32
/// MiB.
const LARGE: usize = 31 << 20;

/// Has freed memory stay with the process: buffers of messages come and go at every step.
pub(crate) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// The bytes assumed where the machine does not tell.
const UNKNOWN: u64 = 16_000_000_000;

/// The machine's memory in bytes.
pub(crate) fn physical() -> u64 {
    told("/proc/meminfo", "MemTotal:").unwrap_or(UNKNOWN)
}

/// The bytes of it that this process has in use, if the system tells.
pub(crate) fn resident() -> Option<u64> {
    told("/proc/self/status", "VmRSS:")
}

fn told(file: &str, name: &str) -> Option<u64> {
    bytes(&std::fs::read_to_string(file).ok()?, name)
}

/// Those of the line `NAME N kB`, as Linux writes it.
fn bytes(told: &str, name: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_linux_says() {
        #[track_caller]
        fn check(told: &str, name: &str, expected: Option<u64>) {
            assert_eq!(bytes(told, name), expected, "{told}");
        }
        check("MemFree: 1 kB\nMemTotal:       2000 kB\n", "MemTotal:", Some(2_048_000));
        check("VmPeak: 9 kB\nVmRSS:\t 2000 kB\n", "VmRSS:", Some(2_048_000));
        check("MemTotal: a lot\n", "MemTotal:", None);
        check("", "MemTotal:", None);
        assert!(physical() > 0);
    }
}
