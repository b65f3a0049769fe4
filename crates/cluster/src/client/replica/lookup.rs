//! A replica's lookups over sockets: the rows of a batch, and of the next one before its token.

use sync_replicas::error::VariableError;
use sync_replicas::{Keys, Rows, Scalar};

use super::ReplicaClient;
use crate::client::WaitError;
use crate::client::protocol::ReplicaProtocol;
use crate::client::row_lookup::RowLookup;

/// Why a lookup failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no such table.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Servers are out of reach.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

impl<T: Scalar> ReplicaClient<T> {
    /// The rows of these keys as they are at the step of the variables; `None` if the step or
    /// training is over (P-17).
    ///
    /// # Errors
    /// [`LookupError`].
    ///
    /// # Cancel safety
    /// Nothing is lost; the next call begins anew.
    pub async fn look_up(&mut self, keys: &Keys) -> Result<Option<Rows<T>>, LookupError> {
        if keys.is_empty() {
            return Ok(Some(Rows::new()));
        }
        crash_point!("worker/before-lookup");
        if !self.begin_lookup(keys)? {
            return Ok(None);
        }
        let version = self.state.local_variables.version();
        let begun = self.now();
        let whole = self.wait(ReplicaProtocol::poll_lookup).await?;
        self.looked_up += self.now().saturating_sub(begun);
        // Newer variables may have come meanwhile, or be on their way: then the step is over, too,
        // and its own are no more.
        let whole = whole && self.state.local_variables.version() == version;
        let rows = self.state.rows.take().filter(|_| whole);
        self.known = rows;
        crash_point!("worker/rows-held");
        Ok(self.known.as_ref().map(RowLookup::rows))
    }

    /// Asks for the rows of the keys that the next batch will name, as they are now. Once the token
    /// is there, [`look_up`](Self::look_up) asks for what has changed since (P-17).
    ///
    /// # Errors
    /// [`VariableError`]: there is no such table.
    pub fn prefetch(&mut self, keys: &Keys) -> Result<(), VariableError> {
        self.begin_lookup(keys).map(drop)
    }

    /// Whether there is a version to ask for.
    fn begin_lookup(&mut self, keys: &Keys) -> Result<bool, VariableError> {
        self.keep_prefetched();
        let Some(version) = self.state.local_variables.version() else { return Ok(false) };
        let servers = self.connections.len();
        let rows = RowLookup::new(
            keys,
            version,
            &self.layout,
            servers,
            self.settings.wire,
            self.known.as_ref(),
        )?;
        let wanted = rows.servers(servers);
        self.state.protocol.look_up(version, wanted, &mut self.state.actions);
        self.state.rows = Some(rows);
        self.carry_out();
        Ok(true)
    }

    /// The lookup made before its token is known now, if all of it has arrived.
    fn keep_prefetched(&mut self) {
        let rows = self.state.rows.take();
        if self.state.protocol.is_lookup_whole() {
            self.known = rows;
        }
    }
}
