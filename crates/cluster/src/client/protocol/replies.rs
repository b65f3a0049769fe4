//! Handles the events of the connections, one at a time.

use std::time::Duration;

use sync_replicas::GlobalStep;
use sync_replicas::engine::Grant;

use super::{
    Action, ConnectError, ConnectionId, Ended, Member, PushError, ReplicaProtocol, Reply, Request,
    Signal, Version,
};
use crate::coordinator::{GivenUp, Refusal, Ticket};

/// How long a replica that must join anew waits first.
const AGAIN: Duration = Duration::from_millis(100);

impl ReplicaProtocol {
    /// When to poll again although nothing has come.
    #[must_use]
    pub fn next_call(&self) -> Option<Duration> {
        self.wake
    }

    /// Whether a connection's messages count: those sent before it was given up are void.
    #[must_use]
    pub fn is_current(&self, id: ConnectionId) -> bool {
        self.connections.number(id.server) == Some(id.number)
    }

    /// Whether there is a connection to a server.
    #[must_use]
    pub fn is_connected(&self, server: usize) -> bool {
        self.connections.open(server).is_some()
    }

    /// A connection is open.
    pub fn connected(&mut self, id: ConnectionId) {
        self.connections.connected(id);
    }

    /// A connection could not be opened.
    pub fn failed(&mut self, id: ConnectionId, error: ConnectError, now: Duration) {
        self.connections.failed(id, error, now);
    }

    /// A connection broke.
    pub fn lost(&mut self, id: ConnectionId, actions: &mut Vec<Action>) {
        if self.is_current(id) {
            self.disconnect(id.server, actions);
        }
    }

    /// What is here of a server's variables: this version, or none while it is being written; and
    /// how many pieces of all servers' variables have come so far.
    pub fn hold(&mut self, server: usize, version: Option<Version>, pieces: u64) {
        self.copies.hold(server, version);
        self.copies.pieces = pieces;
    }

    /// The replica's identity, while the coordinator knows it.
    #[must_use]
    pub fn member(&self) -> Option<Member> {
        let ticket = self.ticket.filter(|_| self.welcomed)?;
        Some(Member { ticket, sequence: self.sequence })
    }

    /// Whether training has ended, and how.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// What a message, about the life of a ticket, means for work under way; read it as soon as it
    /// comes.
    #[must_use]
    pub fn signal(&self, about: Option<Ticket>, reply: &Reply) -> Option<Signal> {
        Signal::of(self.member(), about, reply)
    }

    /// Takes a message, about the life of a ticket, if any.
    pub fn receive(
        &mut self,
        id: ConnectionId,
        about: Option<Ticket>,
        reply: Reply,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        match about {
            _ if !self.is_current(id) => {}
            // It is about a life that is over, or that this replica does not know of yet.
            Some(_) if self.ticket != about => {}
            Some(ticket) => self.take_answer(id.server, ticket, reply, now, actions),
            None => self.take_news(id.server, reply, now, actions),
        }
    }

    fn take_news(&mut self, server: usize, reply: Reply, now: Duration, actions: &mut Vec<Action>) {
        match reply {
            Reply::Welcome { ticket: Some(ticket), global_step, bounded, run } if server == 0 => {
                self.bounded = bounded;
                self.run = run.or(self.run);
                self.welcome(ticket, global_step, actions);
            }
            Reply::Refused(refusal) => self.refuse(server, refusal, now, actions),
            Reply::Initialize if server == 0 => actions.push(Action::Initialize),
            Reply::Ended(ended) => self.learn_end(server, ended, now),
            Reply::Recorded(recorded) => self.recorded = Some(recorded),
            Reply::Gone { number } => self.rows_gone(number),
            // Signalled when it came; or an answer that does not say to which life.
            _ => {}
        }
    }

    /// Takes a message for this very life: each counts its pieces of work anew.
    fn take_answer(
        &mut self,
        server: usize,
        ticket: Ticket,
        reply: Reply,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let present = self.sequence;
        match reply {
            Reply::Granted { sequence, local_step, share, number }
                if sequence == present && !self.has_begun() =>
            {
                crash_point!("worker/token-assigned");
                let (replica, incarnation) = (self.settings.replica, ticket.incarnation);
                self.grant = Some(Grant { replica, incarnation, local_step, share, number });
            }
            Reply::Pushed { sequence, outcome } if sequence == present => {
                crash_point!("worker/reply-lost");
                self.next_piece(actions);
                if let Some(push) = &mut self.push {
                    push.result = Some(Ok(outcome));
                }
            }
            Reply::GaveUp { sequence } if sequence == present => {
                // Said over an earlier connection, and heard after the token was asked for again.
                if let Some(push) = &mut self.push {
                    push.lose("its batch was given up");
                }
                self.next_piece(actions);
            }
            Reply::Room { sequence } if sequence == present && server == 0 => {
                if let Some(push) = &mut self.push {
                    push.admit();
                }
                self.send_due(now, actions);
            }
            Reply::Staged { sequence, receipt } if sequence == present => {
                if let Some(push) = &mut self.push {
                    push.stage(server, receipt);
                }
            }
            Reply::Refused(refusal) => self.refuse(server, refusal, now, actions),
            Reply::Overdue(reason) => {
                self.overdue = Some(reason);
                // The wait is over; the next one asks anew.
                self.ask(actions);
            }
            Reply::Left => {
                self.ticket = None;
                self.disconnect(0, actions);
            }
            // Of a piece of work that is over; or signalled when it came.
            _ => {}
        }
    }

    fn welcome(&mut self, ticket: Ticket, step: GlobalStep, actions: &mut Vec<Action>) {
        (self.welcomed, self.resumed) = (true, true);
        if self.connections.are_open() {
            self.connections.settle();
        }
        if self.ticket != Some(ticket) {
            if self.ticket.is_some_and(|old| old.generation != ticket.generation) {
                let generation = ticket.generation.get();
                tracing::info!(generation, "a new life of the cluster");
            }
            self.fence_off("the replica joined anew", actions);
            self.ticket = Some(ticket);
            self.sequence = 1;
            actions.push(Action::Begin(step));
        }
        // What is being pushed in this life is sent again; what belongs to an earlier one is lost.
        let pushes = self.push.as_ref().is_some_and(|push| push.is_under_way());
        if !pushes {
            // The message that work was abandoned may be lost, and then its token comes again.
            self.begun = None;
            if self.grant.is_none() {
                self.ask(actions);
            }
        }
    }

    /// Asks for the token of the present piece of work, perhaps once more.
    fn ask(&self, actions: &mut Vec<Action>) {
        if let Some(ticket) = self.ticket {
            self.send(0, vec![Request::Ask { ticket, sequence: self.sequence }], actions);
        }
    }

    fn refuse(
        &mut self,
        server: usize,
        refusal: Refusal,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let Refusal { sequence, reason, rejoin } = refusal;
        if rejoin {
            match self.ticket {
                Some(_) => tracing::info!(server, reason, "joining anew"),
                // At every start: servers listen before all of them are ready.
                None => tracing::debug!(server, reason, "not let in yet"),
            }
            // The servers may not be ready for a while; asking at once would be asking always.
            self.connections.pause(now + AGAIN);
            if server == 0 {
                self.ticket = None;
                self.fence_off(&reason, actions);
            }
            self.disconnect(server, actions);
        } else if let Some(push) = self.push.as_mut().filter(|_| sequence == self.sequence) {
            push.result = Some(Err(PushError::Refused { reason }));
            let times = push.work.times(now);
            self.put_down(GivenUp::Begun, Some(times), actions);
        } else if sequence == 0 {
            self.connections.refuse(reason);
            self.disconnect(server, actions);
        }
    }

    /// The present piece of work belongs to a past life.
    fn fence_off(&mut self, reason: &str, actions: &mut Vec<Action>) {
        self.grant = None;
        self.forget_lookup();
        actions.push(Action::Supersede);
        if let Some(push) = &mut self.push {
            push.lose(reason);
        }
    }

    fn next_piece(&mut self, actions: &mut Vec<Action>) {
        self.sequence += 1;
        self.grant = None;
        // Its token may have been sent over a connection that broke, before the answer came again.
        if std::mem::take(&mut self.resumed) {
            self.ask(actions);
        }
    }

    fn disconnect(&mut self, server: usize, actions: &mut Vec<Action>) {
        self.connections.close(server);
        self.copies.lost(server);
        actions.push(Action::Disconnect(server));
        if server == 0 {
            self.welcomed = false;
            if let Some(push) = &mut self.push {
                push.uncommit();
            }
        }
    }
}
