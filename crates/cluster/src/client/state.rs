//! What events change in a replica: its protocol, its copy of the variables, what it is told.

use std::sync::Arc;
use std::time::Duration;

use sync_replicas::record::FailedSave;
use sync_replicas::{Scalar, Variables};

use super::ReplicaSettings;
use super::connection::{ConnectionEvent, Event};
use super::local_variables::LocalVariables;
use super::protocol::{Action, ConnectionId, ProtocolSettings, ReplicaProtocol, Reply};
use super::row_lookup::RowLookup;
use super::shared_variables::SharedVariables;
use crate::coordinator::{StepMade, Traffic};
use crate::number_format::NumberFormat;
use crate::placement::Placement;
use crate::proto::Rows;

pub(crate) struct ReplicaState<T: Scalar> {
    pub(crate) protocol: ReplicaProtocol,
    /// What the protocol wants done.
    pub(crate) actions: Vec<Action>,
    pub(super) local_variables: LocalVariables<T>,
    /// Those of the lookup under way.
    pub(super) rows: Option<RowLookup<T>>,
    /// Bytes received and sent for the present piece of work.
    pub(super) traffic: Traffic,
    /// Checkpoints that were not written, since the last look.
    pub(super) failed_saves: Vec<FailedSave>,
    /// Steps that were made, for hooks, since the last look.
    pub(crate) made: Vec<StepMade>,
    keep_made: bool,
}

impl<T: Scalar> ReplicaState<T> {
    pub(crate) fn new(
        settings: &ReplicaSettings,
        addresses: Vec<String>,
        placement: Arc<Placement>,
        variables: Variables<T>,
        keep_made: bool,
    ) -> Self {
        let mut local_variables = LocalVariables::new(variables, placement, settings.wire);
        if keep_made {
            local_variables.show_all_bits();
        }
        let protocol = ReplicaProtocol::new(ProtocolSettings {
            replica: settings.replica,
            process: settings.process,
            addresses,
            reconnect_timeout: settings.reconnect_timeout,
            tell_superseded: settings.tell_superseded,
            follows: keep_made,
            all_bits: keep_made && settings.wire != NumberFormat::Native,
        });
        let (failed_saves, made, traffic) = (Vec::new(), Vec::new(), Traffic::default());
        let (actions, rows) = (Vec::new(), None);
        Self { protocol, actions, local_variables, rows, traffic, failed_saves, made, keep_made }
    }

    /// Takes the events of connections that still count.
    pub(crate) fn take(
        &mut self,
        events: impl IntoIterator<Item = ConnectionEvent>,
        now: Duration,
    ) {
        for (id, event) in events {
            if self.protocol.is_current(id) {
                self.take_event(id, event, now);
            }
        }
        self.traffic.variables += self.local_variables.take_received();
        for (server, version) in self.local_variables.versions().enumerate() {
            self.protocol.hold(server, version, self.local_variables.pieces());
        }
    }

    fn take_event(&mut self, id: ConnectionId, event: Event, now: Duration) {
        let (protocol, actions) = (&mut self.protocol, &mut self.actions);
        match event {
            Event::Connected => protocol.connected(id),
            Event::Failed(error) => protocol.failed(id, error, now),
            Event::Message(None, Reply::Advanced(made)) if self.keep_made => self.made.push(made),
            Event::Message(None, Reply::SaveFailed(failed)) => self.failed_saves.push(failed),
            Event::Message(about, reply) => protocol.receive(id, about, reply, now, actions),
            Event::Values(values) => {
                if let Err(error) = self.local_variables.take_queued(id.server, &values) {
                    tracing::warn!(%id, %error, "invalid message; connecting again");
                    protocol.lost(id, actions);
                }
            }
            Event::Rows(rows) => self.take_rows(id, &rows),
            Event::Written => {}
            Event::Lost(reason) => {
                tracing::info!(%id, reason, "connection lost");
                protocol.lost(id, actions);
            }
        }
    }

    fn take_rows(&mut self, id: ConnectionId, rows: &Rows) {
        // Of one that was given up.
        if self.protocol.lookup_number() != Some(rows.number) {
            return;
        }
        let Some(lookup) = &mut self.rows else { return };
        self.traffic.rows += (rows.changes.len() + rows.data.len()) as u64;
        match lookup.take(id.server, rows) {
            Ok(true) => self.protocol.rows_came(id.server, rows.number),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%id, %error, "invalid message; connecting again");
                self.protocol.lost(id, &mut self.actions);
            }
        }
    }

    /// What the protocol wants done, once the copy of the variables knows which connections count.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        let actions = std::mem::take(&mut self.actions);
        for action in &actions {
            match action {
                Action::Connect(id, _) => self.local_variables.opened(*id),
                Action::Disconnect(server) => self.local_variables.lost(*server),
                _ => {}
            }
        }
        actions
    }

    /// Lends the copy of the variables to the receiver, until the answer is dropped.
    pub(crate) fn lend<'s>(&'s mut self, shared: &'s SharedVariables<T>) -> impl Drop {
        shared.lend(&mut self.local_variables)
    }

    /// The variables that the replica computes from.
    pub(crate) fn variables(&self) -> &Variables<T> {
        &self.local_variables.variables
    }
}
