//! What a parameter server needs of its machine, for its supervisor.

use serde::{Deserialize, Serialize};

use crate::proto;

/// Memory and traffic of one parameter server's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Memory of the process that is in use; 0 if the system does not tell.
    pub memory_bytes: u64,
    /// Payload received so far.
    pub received_bytes: u64,
}

impl Usage {
    /// Those of this process, which has received so much.
    #[must_use]
    pub fn of_process(received_bytes: u64) -> Self {
        let told = std::fs::read_to_string("/proc/self/status").ok();
        let memory_bytes = told.and_then(|told| resident(&told)).unwrap_or_default();
        Self { memory_bytes, received_bytes }
    }
}

/// The line `VmRSS: N kB` of Linux.
fn resident(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

impl From<Usage> for proto::Usage {
    fn from(usage: Usage) -> Self {
        let Usage { memory_bytes, received_bytes } = usage;
        Self { memory_bytes, received_bytes }
    }
}

impl From<proto::Usage> for Usage {
    fn from(usage: proto::Usage) -> Self {
        let proto::Usage { memory_bytes, received_bytes } = usage;
        Self { memory_bytes, received_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_linux_says() {
        assert_eq!(resident("VmPeak: 9 kB\nVmRSS:\t 2000 kB\n"), Some(2_048_000));
        assert_eq!(resident("VmRSS: much\n"), None);
    }
}
