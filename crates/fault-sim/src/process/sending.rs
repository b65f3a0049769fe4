//! Carries out a process's protocol actions: connections, and messages over them.

use std::sync::Arc;

use cluster::NumberFormat;
use cluster::driver::client::protocol::{Action, Request};
use cluster::driver::coordinator::{GivenUp, Ticket};
use cluster::driver::index::VariableIndex;
use cluster::driver::shard::Section;
use engine::{Admission, ReplicaId};
use sync_replicas::store::GradientKind;

use super::Process;
use crate::happenings::Happening;
use crate::invariants::{Contributor, Fact};
use crate::mix::{Mix, ROWS};
use crate::network::Line;
use crate::stage::{Stage, ToServer};

impl Process {
    pub(super) fn carry_out(&mut self, actions: Vec<Action>, stage: &mut Stage) {
        for action in actions {
            match action {
                // The servers here have the program.
                Action::Initialize => {}
                Action::Connect(id, hello) => {
                    let (process, server, number) = (self.index, id.server, id.number);
                    let line = Line { process, server, number };
                    stage.network.open(line, self.replica);
                    self.lines[server] = Some(line);
                    stage.send_to_server(line, ToServer::Hello(hello));
                }
                Action::Disconnect(server) => self.disconnect(server, stage),
                Action::Send(server, requests) => {
                    let Some(line) = self.lines[server] else { continue };
                    for request in requests {
                        self.send(line, request, stage);
                    }
                }
                Action::Begin(step) => self.superseded.begin(step),
                Action::Supersede => self.superseded.supersede(),
            }
        }
    }

    fn disconnect(&mut self, server: usize, stage: &mut Stage) {
        if let Some(line) = self.lines[server].take() {
            stage.send_to_server(line, ToServer::Closed);
            stage.network.close(line);
        }
    }

    /// Closes all connections.
    pub(super) fn hang_up(&mut self, stage: &mut Stage) {
        (0..self.lines.len()).for_each(|server| self.disconnect(server, stage));
    }

    fn send(&mut self, line: Line, request: Request, stage: &mut Stage) {
        match request {
            Request::Gradients { ticket, sequence } => {
                self.send_gradients(line, ticket, sequence, stage);
            }
            request => {
                if let Request::GiveUp { sequence, why, .. } = request {
                    self.gave_up = Some(sequence);
                    if let (GivenUp::NotBegun, Some((ticket, grant))) = (why, &self.granted) {
                        stage.happened(Happening::Declined);
                        stage.note(&Fact::Heeded { ticket: *ticket, grant });
                    }
                }
                stage.send_to_server(line, ToServer::Request(request));
            }
        }
    }

    /// A server's part of the gradients: what there is, then its bytes.
    fn send_gradients(&mut self, line: Line, ticket: Ticket, sequence: u64, stage: &mut Stage) {
        let (replica, incarnation) = (ReplicaId::new(self.replica as u64), ticket.incarnation);
        let by = Contributor { generation: ticket.generation, replica, incarnation, sequence };
        let (variables, elements) = &self.outgoing;
        stage.sent.insert(by, elements.clone());
        self.pushing = Some(by);
        let (mut sections, mut pieces) = (Vec::new(), Vec::new());
        for (part, it) in Arc::clone(&stage.mix.placement).parts(line.server).iter().enumerate() {
            if variables.contains(&it.variable) {
                sections.push(Section { part, kind: GradientKind::Dense, rows: 0 });
                let first = it.variable.get() * ROWS;
                let mut bytes = Vec::new();
                let numbers = &elements[first + it.rows.start..first + it.rows.end];
                NumberFormat::Native.put(numbers, &mut bytes);
                pieces.push(bytes);
            }
        }
        stage.send_to_server(line, ToServer::Begin { ticket, sequence, sections });
        for (section, bytes) in pieces.into_iter().enumerate() {
            stage.send_to_server(line, ToServer::Chunk { section, bytes });
        }
    }
}

/// All variables, or by chance some: per variable a push may leave others out.
pub(super) fn variables(stage: &mut Stage) -> Vec<VariableIndex> {
    let Mix { variables, faults, config, .. } = &stage.mix;
    let (all, partial) = ((0..*variables).map(VariableIndex::new), faults.partial);
    let per_variable = config.settings().admission == Admission::PerVariable;
    if per_variable && stage.dice.chance(partial) {
        let some: Vec<_> = all.clone().filter(|_| stage.dice.chance(0.5)).collect();
        if !some.is_empty() {
            return some;
        }
    }
    all.collect()
}
