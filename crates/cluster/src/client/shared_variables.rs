//! The replica's copy of the variables while its owner waits: connections write values in place as
//! they come.
//!
//! Values that come at another time go through the inbox. Invariant: nothing is written while the
//! replica computes, and values of one connection are taken in their order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_replicas::Scalar;

use super::local_variables::LocalVariables;
use super::protocol::ConnectionId;
use crate::proto::Values;
use crate::wire::WireError;

/// Clones share the place.
pub(crate) struct SharedVariables<T: Scalar>(Arc<Mutex<Option<LocalVariables<T>>>>);

impl<T: Scalar> Clone for SharedVariables<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Scalar> SharedVariables<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Lends the local variables to the receiver, until the answer is dropped.
    pub(super) fn lend<'m>(&'m self, local_variables: &'m mut LocalVariables<T>) -> Lent<'m, T> {
        let hollow = local_variables.hollow();
        *self.lock() = Some(std::mem::replace(local_variables, hollow));
        Lent { shared: self, local_variables }
    }

    /// Puts values in their place; false if they must go through the inbox, into which this
    /// connection has put so many.
    pub(super) fn write(
        &self,
        id: ConnectionId,
        queued: u64,
        values: &Values,
    ) -> Result<bool, WireError> {
        match &mut *self.lock() {
            Some(local_variables) if local_variables.is_level(id, queued) => {
                local_variables.take(id.server, values).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<LocalVariables<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lent local variables.
pub(super) struct Lent<'m, T: Scalar> {
    shared: &'m SharedVariables<T>,
    local_variables: &'m mut LocalVariables<T>,
}

impl<T: Scalar> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if let Some(local_variables) = self.shared.lock().take() {
            *self.local_variables = local_variables;
        }
    }
}
