//! The threads of a process of the cluster.

use tokio::runtime::Runtime;

use super::ClusterError;
use crate::memory;
use crate::spec::{Role, Task};

/// Starts them, for this task.
pub(super) fn start_runtime(task: Task) -> Result<Runtime, ClusterError> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = match task.role {
        // All replicas are read and written side by side.
        Role::Ps => cores.max(2),
        _ => 2,
    };
    #[cfg(all(unix, feature = "crash-points"))]
    crate::crash::enter(task);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(ClusterError::Runtime)?;
    memory::keep_freed();
    Ok(runtime)
}
