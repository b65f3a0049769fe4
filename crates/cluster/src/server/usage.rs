//! What a parameter server needs of its machine, for its supervisor.

use serde::{Deserialize, Serialize};

use crate::{memory, proto};

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
        let memory_bytes = memory::resident().unwrap_or_default();
        Self { memory_bytes, received_bytes }
    }
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
