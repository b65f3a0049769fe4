//! How a replica's process comes in: over a connection, into a place, with a welcome.

use sync_replicas::{ReplicaId, Scalar};

use super::Leader;
use crate::batches::BatchSender;
use crate::client::CHIEF;
use crate::coordinator::Refusal;
use crate::place::{Caller, NotAdmitted};
use crate::proto::to_replica::Message;
use crate::proto::{Hello, Initialize, ToReplica, Welcome};
use crate::wire;

impl<T: Scalar> Leader<T> {
    /// Opens a connection of a replica to its own process's server, for a process that may have the
    /// replica's place; its number.
    pub(crate) fn open(
        &self,
        replica: ReplicaId,
        caller: Caller,
        follows: bool,
        sender: BatchSender<ToReplica>,
    ) -> Result<u64, NotAdmitted> {
        let mut connections = self.own.connections();
        self.coordinator.admits(replica, &caller, connections.caller(replica))?;
        Ok(connections.open(replica, caller, follows, sender))
    }

    /// Lets in a replica that has said hello over a connection of its process's server.
    pub(crate) fn welcome(
        &mut self,
        replica: ReplicaId,
        connection: u64,
        hello: &Hello,
    ) -> Result<(), Refusal> {
        if let Some(ended) = self.ending.clone() {
            if self.own.is_over() {
                // It comes too late, which is not its fault (P-1).
                let ended = Message::Ended(ended);
                self.own.connections().answer(replica, connection, None, ended);
            }
            // Otherwise it hears of the end with the others.
            return Ok(());
        }
        if !self.own.connections().is_open(replica, connection) {
            // It has connected anew while this one waited for the leader.
            return Ok(());
        }
        if let Some(values) = self.initial_values.as_mut().filter(|it| it.are_wanted()) {
            if replica != CHIEF {
                let reason = "the servers wait for the initial values, which the chief sends";
                return Err(Refusal { sequence: 0, reason: reason.to_owned(), rejoin: true });
            }
            values.ask(connection);
            let ask = Message::Initialize(Initialize {});
            self.own.connections().answer(replica, connection, None, ask);
            return Ok(());
        }
        if !self.is_serving() {
            let reason = "the servers are not ready: they start or restore".to_owned();
            return Err(Refusal { sequence: 0, reason, rejoin: true });
        }
        let caller = wire::caller(hello);
        let welcomed = self.coordinator().hello(replica, &caller);
        // The consequences for its earlier life stand even if this one is refused.
        let ticket = welcomed.inspect_err(|_| self.act())?;
        let welcome = Message::Welcome(Welcome {
            generation: ticket.generation.get(),
            global_step: self.coordinator.global_step().get(),
            ticket: Some(ticket.into()),
            bounded: self.own.bounded,
            run: wire::run_words(self.own.run()),
        });
        self.own.connections().answer(replica, connection, None, welcome);
        self.act();
        Ok(())
    }
}
