//! The status of this process's own parameter server, without a connection.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use sync_replicas::Scalar;

use crate::server::{Server, ServerStatus, Undefined};

/// Asks the parameter server of this process for its status; from any thread, at any time. Clones
/// ask the same one.
#[derive(Clone, Default)]
pub struct StatusHandle(Arc<Mutex<Option<Weak<dyn Told>>>>);

/// Reports its status.
pub(crate) trait Told: Send + Sync {
    fn told(&self) -> ServerStatus;
}

impl<T: Scalar> Told for Server<T> {
    fn told(&self) -> ServerStatus {
        self.status()
    }
}

impl Told for Undefined {
    fn told(&self) -> ServerStatus {
        self.status()
    }
}

impl StatusHandle {
    /// The parameter server's status; `None` where this process has none, not yet or no longer.
    #[must_use]
    pub fn get(&self) -> Option<ServerStatus> {
        // Not asked under this lock: it takes other locks.
        let server = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.upgrade()?;
        Some(server.told())
    }

    pub(crate) fn set<S: Told + 'static>(&self, server: &Arc<S>) {
        let server: Weak<S> = Arc::downgrade(server);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }
}

impl std::fmt::Debug for StatusHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StatusHandle")
    }
}
