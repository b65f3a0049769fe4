//! The initial values of variables, where servers have no program to make them: the chief sends its
//! own, in pieces, over its connection.
//!
//! Invariant: they come whole over one connection; pieces from an earlier one are forgotten.

use std::sync::Arc;

use ndarray::ArrayD;
use sync_replicas::Scalar;

use crate::placement::Placement;
use crate::proto;
use crate::server::bad_message::BadMessage;
use crate::server::transfer::{IncomingState, Layout};

/// The pieces received.
pub(crate) struct InitialValues<T> {
    placement: Arc<Placement>,
    /// Whether a generation can begin from them alone.
    wanted: bool,
    /// The chief's connection, once it was asked for them.
    connection: Option<u64>,
    incoming: IncomingState,
    /// By variable, once they are whole.
    whole: Option<Vec<Arc<ArrayD<T>>>>,
}

impl<T: Scalar> InitialValues<T> {
    pub(super) fn new(placement: Arc<Placement>) -> Self {
        let (wanted, connection, incoming) = (false, None, IncomingState::default());
        Self { placement, wanted, connection, incoming, whole: None }
    }

    /// Asks for them over this connection.
    pub(super) fn ask(&mut self, connection: u64) {
        (self.connection, self.incoming) = (Some(connection), IncomingState::default());
    }

    /// Whether to ask the chief for them.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted && self.whole.is_none()
    }

    /// A generation waits for them.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// The chief was not asked for it, or it is not one of these variables' values.
    pub(super) fn take(
        &mut self,
        connection: u64,
        piece: proto::InitialValues,
    ) -> Result<(), BadMessage> {
        if self.connection != Some(connection) || !self.are_wanted() {
            return Err(BadMessage::NotAsked);
        }
        let layout = || Layout::of_variables(&self.placement);
        if !piece.last {
            let proto::InitialValues { tensor, data, .. } = piece;
            return Ok(self.incoming.push::<T>(proto::Tensor { tensor, data }, layout)?);
        }
        let incoming = std::mem::take(&mut self.incoming);
        let state = incoming.finish(&layout(), &proto::Scalars::default())?;
        self.whole = Some(state.tensors.into_iter().map(|(_, values)| values).collect());
        Ok(())
    }

    /// Hands them over once they are whole; by variable.
    pub(crate) fn hand_over(&mut self) -> Option<Vec<Arc<ArrayD<T>>>> {
        let whole = self.whole.take()?;
        (self.wanted, self.connection) = (false, None);
        Some(whole)
    }
}
