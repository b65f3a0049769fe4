//! The mirror while its owner waits: whoever receives puts values in their place at once.
//!
//! Values that come at another time go through the inbox. Invariant: nothing is written while the
//! replica computes, and values of one line are taken in their order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_replicas::Scalar;

use super::mirror::Mirror;
use crate::proto::Values;
use crate::wire::WireError;

/// Where values land; clones are the same place.
pub(super) struct Landing<T: Scalar>(Arc<Mutex<Option<Mirror<T>>>>);

impl<T: Scalar> Clone for Landing<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Scalar + bytemuck::Pod> Landing<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Lends the mirror to whoever receives, until the answer is dropped.
    pub(super) fn lend<'m>(&'m self, mirror: &'m mut Mirror<T>) -> Lent<'m, T> {
        let hollow = mirror.hollow();
        *self.lock() = Some(std::mem::replace(mirror, hollow));
        Lent { landing: self, mirror }
    }

    /// Puts values in their place; false if they must go through the inbox, into which this line
    /// has put so many.
    pub(super) fn land(
        &self,
        line: (usize, u64),
        queued: u64,
        values: &Values,
    ) -> Result<bool, WireError> {
        match &mut *self.lock() {
            Some(mirror) if mirror.is_level(line, queued) => {
                mirror.take(line.0, values).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mirror<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mirror that is lent.
pub(super) struct Lent<'m, T: Scalar + bytemuck::Pod> {
    landing: &'m Landing<T>,
    mirror: &'m mut Mirror<T>,
}

impl<T: Scalar + bytemuck::Pod> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if let Some(mirror) = self.landing.lock().take() {
            *self.mirror = mirror;
        }
    }
}
