//! Replicas and servers that leave for now: processes asked to end, and expected to be started
//! again.
//!
//! A replica goes at once. A parameter server holds the only copy of its parts, so it goes once
//! they are in a checkpoint. Invariant: every process that waits to leave may go in the end, even
//! where nothing can be saved.

use std::collections::BTreeMap;

use sync_replicas::ReplicaId;

use super::{Answer, Coordinator, Ticket};
use crate::index::ServerIndex;

/// The parameter servers that wait to leave.
#[derive(Debug, Default)]
pub(super) struct LeavingServers {
    /// By server: the number of ordered updates after which a checkpoint has all that it holds.
    servers: BTreeMap<ServerIndex, u64>,
    /// Some have left: nothing more of this life of the shared state can be saved.
    gone: bool,
}

/// The answer to a parameter server's request to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It may leave.
    Go,
    /// Once a checkpoint is written, which begins now.
    Save,
    /// Once the checkpoint under way is written.
    Wait,
}

/// The state of checkpoints when a parameter server asks to leave.
#[derive(Clone, Copy, Debug)]
pub struct Saves {
    /// How many updates were ordered.
    pub updates: u64,
    /// How many of them the newest checkpoint on disk has, if it is of this life.
    pub on_disk: Option<u64>,
    /// Whether another can be begun.
    pub possible: bool,
    /// Whether a checkpoint is being written that needs no more from any server.
    pub under_way: bool,
    /// Whether training is ending, and all leave with it once its last one is written.
    pub ending: bool,
}

impl Coordinator {
    /// A replica's process was asked to end: its token goes to another at once, and it is expected
    /// back, so its leaving ends nothing (P-5).
    pub fn leave_for_now(&mut self, replica: ReplicaId, ticket: Ticket) {
        if let Ok(index) = self.check(replica, ticket) {
            self.depart(index, ticket.incarnation);
        }
        self.actions.answers.push((replica, ticket, Answer::Left));
    }

    /// A parameter server asks to leave; it may repeat that.
    pub fn server_leaves(&mut self, server: ServerIndex, saves: Saves) -> Farewell {
        let Saves { updates, on_disk, possible, under_way, ending } = saves;
        let leaving = &mut self.leaving;
        if ending && !leaving.gone {
            leaving.servers.entry(server).or_default();
            return Farewell::Wait;
        }
        if possible && !leaving.gone && on_disk != Some(updates) {
            leaving.servers.entry(server).or_insert(updates);
            return Farewell::Save;
        }
        if under_way {
            leaving.servers.entry(server).or_default();
            return Farewell::Wait;
        }
        leaving.servers.remove(&server);
        leaving.gone = true;
        Farewell::Go
    }

    /// A checkpoint after so many updates was written, or failed; returns the servers that may
    /// leave now, all together, since none can be saved without the others.
    pub fn saved(&mut self, updates: u64) -> Vec<ServerIndex> {
        let later = self.leaving.servers.values().any(|&needed| needed > updates);
        if later { Vec::new() } else { self.nothing_is_saved() }
    }

    /// This life writes no more checkpoints; answers the servers that may leave now.
    pub fn nothing_is_saved(&mut self) -> Vec<ServerIndex> {
        let servers: Vec<_> = std::mem::take(&mut self.leaving.servers).into_keys().collect();
        self.leaving.gone |= !servers.is_empty();
        servers
    }
}
