//! Rows of tables for the held step, and for the next batch before its token (P-17).

use ndarray::Array2;
use sync_replicas::error::LookupError;
use sync_replicas::{Keys, Rows, Scalar};

use super::super::ClusterError;
use super::{ClusterReplica, ClusterStep, Worker, leave_requested};
use crate::client;

impl<T: Scalar> ClusterStep<T> {
    /// The rows of these keys of a table, keys x width, as they are at the step of the variables.
    /// Keys may come in any order and repeat; looking up changes nothing.
    ///
    /// # Errors
    /// [`ClusterError::Lookup`]: with [`LookupError::Superseded`] when the step was already over:
    /// give it up. [`ClusterError::StepOver`] when the token had been given back.
    ///
    /// # Panics
    /// In a task of a runtime, which must not block.
    // P-17
    pub fn lookup(&self, table: &str, keys: &[i64]) -> Result<Array2<T>, ClusterError> {
        let rows = self.lookup_all(&Keys::new().of(table.to_owned(), keys.to_vec()))?;
        Ok(rows.get(table).map_err(LookupError::from)?.to_owned())
    }

    /// The same for all keys of a batch, in one round trip.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Panics
    /// As [`lookup`](Self::lookup).
    pub fn lookup_all(&self, keys: &Keys) -> Result<Rows<T>, ClusterError> {
        // If another caller waits with it, that is a wait for a later step.
        let Some(mut worker) = self.place.try_lock() else { return Err(ClusterError::StepOver) };
        let rows = match &mut *worker {
            Some(worker) if worker.holds(self.serial) => {
                self.place.block_on(worker.look_up(keys))?
            }
            _ => return Err(ClusterError::StepOver),
        };
        let step = self.global_step();
        Ok(rows.ok_or(LookupError::Superseded { step })?)
    }
}

impl<T: Scalar> ClusterReplica<T> {
    /// Asks for the rows of the keys that the next batch will name, before its token is there; once
    /// it is, [`ClusterStep::lookup_all`] asks only for what has changed since. Does not wait.
    ///
    /// # Errors
    /// [`ClusterError::Lookup`]: there is no such table.
    // P-17
    pub fn prefetch(&mut self, keys: &Keys) -> Result<(), ClusterError> {
        let mut worker = self.place.lock();
        let Some(worker) = &mut *worker else { return Ok(()) };
        let _inside = self.place.enter();
        Ok(worker.client.prefetch(keys).map_err(LookupError::from)?)
    }
}

impl<T: Scalar> Worker<T> {
    /// The rows of these keys at the held step; `None` if it is over, or this replica must leave.
    pub(super) async fn look_up(&mut self, keys: &Keys) -> Result<Option<Rows<T>>, ClusterError> {
        let looked_up = tokio::select! {
            biased;
            () = leave_requested(&self.handle, &self.abandoned) => return Ok(None),
            looked_up = self.client.look_up(keys) => looked_up,
        };
        match looked_up {
            Ok(rows) => Ok(rows),
            Err(client::LookupError::Variable(error)) => Err(LookupError::from(error).into()),
            Err(client::LookupError::Wait(error)) => Err(self.client.advise(error).await.into()),
        }
    }
}
