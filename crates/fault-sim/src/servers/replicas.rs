//! Replicas' messages to servers: to a shard's server, or to the coordinator.

use cluster::driver::client::protocol::{ConnectError, Departure, Hello, Reply, Request};
use cluster::driver::coordinator::{GiveUp, Refusal, Ticket};
use cluster::driver::place::NotAdmitted;
use engine::ReplicaId;

use super::Servers;
use crate::happenings::Happening;
use crate::invariants::Fact;
use crate::network::Line;
use crate::stage::{Stage, ToReplica, ToServer};

impl Servers {
    /// A message over a replica's connection.
    pub(crate) fn receive(
        &mut self,
        (replica, line): (usize, Line),
        message: ToServer,
        stage: &mut Stage,
    ) {
        let Some(server) = &mut self.all[line.server] else {
            if let ToServer::Hello(_) = message {
                let refused = "nobody listens".to_owned();
                let failed = ConnectError::Retry(refused);
                stage.send_to_replica(line, ToReplica::Failed(failed));
            }
            return;
        };
        if let ToServer::Hello(hello) = message {
            return self.hello(replica, line, hello, stage);
        }
        if !server.is_open(replica, line) {
            if server.had_read(replica, line)
                && let ToServer::Request(request @ (Request::GiveUp { .. } | Request::Commit(_))) =
                    message
                && stage.dice.chance(stage.mix.faults.late)
            {
                stage.happened(Happening::HeardLate);
                self.request(replica, request, stage);
            }
            return;
        }
        match message {
            ToServer::Hello(_) => {}
            ToServer::Begin { ticket, sequence, sections } => {
                server.begin(replica, (ticket, sequence), &sections, stage);
            }
            ToServer::Chunk { section, bytes } => server.chunk(replica, section, &bytes, stage),
            ToServer::Request(Request::Pull { after, .. }) => server.pull(replica, after, stage),
            ToServer::Request(request) => {
                if !matches!(request, Request::Leave { .. }) {
                    stage.copy(replica, &request);
                }
                self.request(replica, request, stage);
            }
            ToServer::Alive(ticket) => self.alive(replica, ticket, stage),
            ToServer::Closed => server.close(replica, line, stage),
        }
    }

    fn hello(&mut self, replica: usize, line: Line, hello: Hello, stage: &mut Stage) {
        let Some(server) = &mut self.all[line.server] else { return };
        let (id, caller) = (hello.replica, hello.caller());
        let connected = server.caller(replica);
        let may = match &self.leader {
            Some(leader) if line.server == 0 => leader.coordinator.admits(id, &caller, connected),
            _ => {
                let generation = server.shard.snapshot().generation;
                let generation = server.over.is_none().then_some(generation);
                caller.takes_place(id, connected, generation)
            }
        };
        if let Err(reason) = may {
            let failed = not_admitted(&reason, stage);
            return stage.send_to_replica(line, ToReplica::Failed(failed));
        }
        server.open(replica, line, caller, stage);
        stage.send_to_replica(line, ToReplica::Connected);
        if line.server == 0 {
            let welcomed = self.welcome(replica, &hello, stage);
            if let (Err(refusal), Some(own)) = (welcomed, &mut self.all[0]) {
                own.tell(replica, None, Reply::Refused(refusal), stage);
                own.close(replica, line, stage);
            }
            return;
        }
        let bounded = stage.mix.bounded;
        let global_step = server.shard.snapshot().global_step;
        let welcome = Reply::Welcome { ticket: None, global_step, bounded, run: None };
        server.tell(replica, None, server.over.clone().map_or(welcome, Reply::Ended), stage);
    }

    /// Lets in a replica that has said hello to the leader.
    fn welcome(&mut self, replica: usize, hello: &Hello, stage: &mut Stage) -> Result<(), Refusal> {
        let (Some(leader), Some(own)) = (&mut self.leader, &self.all[0]) else { return Ok(()) };
        if leader.ending.is_some() {
            // Otherwise it hears of the end with the others.
            if let Some(over) = &own.over {
                own.tell(replica, None, Reply::Ended(over.clone()), stage);
            }
            return Ok(());
        }
        if !leader.serving {
            stage.happened(Happening::NotReady);
            let reason = "the servers are not ready".to_owned();
            return Err(Refusal { sequence: 0, reason, rejoin: true });
        }
        let (id, now) = (ReplicaId::new(replica as u64), stage.now());
        let welcomed = leader.coordinator.at(now).hello(id, &hello.caller());
        if welcomed.is_err() {
            self.act(stage);
        }
        let ticket = welcomed?;
        let Hello { process, connection, .. } = *hello;
        stage.note(&Fact::Welcomed { replica: id, process, connection });
        if hello.ticket == Some(ticket) {
            stage.happened(Happening::WentOn);
        }
        let (Some(leader), Some(own)) = (&self.leader, &self.all[0]) else { return Ok(()) };
        let (global_step, bounded) = (leader.coordinator.global_step(), stage.mix.bounded);
        let welcome = Reply::Welcome { ticket: Some(ticket), global_step, bounded, run: None };
        own.tell(replica, None, welcome, stage);
        self.act(stage);
        Ok(())
    }

    /// A replica's request to the coordinator.
    pub(crate) fn request(&mut self, replica: usize, request: Request, stage: &mut Stage) {
        let (Some(leader), Some(own)) = (&mut self.leader, &self.all[0]) else { return };
        if !leader.serving && !matches!(request, Request::Leave { .. }) {
            return;
        }
        let (id, now) = (ReplicaId::new(replica as u64), stage.now());
        let coordinator = leader.coordinator.at(now);
        match request {
            Request::Commit(commit) => {
                let held = own.shard.vet(commit.contribution(id), &commit.variables);
                coordinator.commit_to(id, commit, held);
            }
            Request::Ask { ticket, sequence } => coordinator.ask(id, ticket, sequence),
            Request::GiveUp { ticket, sequence, why, times } => {
                let times = times.unwrap_or_default();
                coordinator.give_up(id, ticket, GiveUp { sequence, why, times });
            }
            Request::Leave { ticket, departure } => match departure {
                Departure::ForNow => coordinator.leave_for_now(id, ticket),
                Departure::Done => coordinator.leave(id, ticket, None),
                Departure::Failed(reason) => coordinator.leave(id, ticket, Some(reason)),
            },
            Request::Pull { .. }
            | Request::Gradients { .. }
            | Request::Lookup { .. }
            | Request::Recall => {}
        }
        self.act(stage);
    }

    fn alive(&mut self, replica: usize, ticket: Ticket, stage: &mut Stage) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.serving) else { return };
        leader.coordinator.at(stage.now()).alive(ReplicaId::new(replica as u64), ticket);
        self.act(stage);
    }
}

/// As what a process hears that it is not let in.
fn not_admitted(reason: &NotAdmitted, stage: &mut Stage) -> ConnectError {
    let words = reason.to_string();
    match reason {
        NotAdmitted::Replaced(_) => ConnectError::Replaced(words),
        NotAdmitted::Held(_) => {
            stage.happened(Happening::Held);
            ConnectError::Later(words)
        }
        NotAdmitted::Ticket { .. } => {
            stage.happened(Happening::Fenced);
            ConnectError::Later(words)
        }
        _ => ConnectError::Permanent(words),
    }
}
