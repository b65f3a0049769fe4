//! A parameter server: the real shard, and the connections of replicas.
//!
//! Carries messages to the shard, and its answers back; it decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::driver::client::protocol::{Ended, Reply, Version};
use cluster::driver::coordinator::{Contribution, Decision, ShardCommand, Ticket, receipt};
use cluster::driver::index::{ServerIndex, VariableIndex};
use cluster::driver::place::Caller;
use cluster::driver::placement::Part;
use cluster::driver::shard::{Announced, Applied, Open, Section, Shard, ShardState, StageError};
use engine::{Generation, ReplicaId};

use crate::invariants::{Contributor, Fact};
use crate::mix::{Mix, ROWS};
use crate::network::Line;
use crate::stage::{Stage, ToReplica};

#[derive(Debug)]
pub(crate) struct ParameterServer {
    index: usize,
    /// Its life; what was queued for an earlier one is void.
    pub(crate) life: u64,
    pub(crate) shard: Shard<f64>,
    /// The secret of the receipts.
    pub(crate) secret: u64,
    /// By replica.
    connections: BTreeMap<usize, Connection>,
    /// The end as it was told.
    pub(crate) over: Option<Ended>,
    /// The parts that staged contributions have, for the invariants.
    staged: BTreeMap<Contribution, Vec<usize>>,
    /// The contributors to the sums, by part, for the invariants.
    held: Vec<Vec<Contributor>>,
}

#[derive(Debug)]
struct Connection {
    line: Line,
    caller: Caller,
    pull: Option<Option<Version>>,
    /// The contribution whose bytes come.
    open: Option<(Open<f64>, Ticket)>,
    /// The one before it, whose last message may be heard after this one was opened.
    before: Option<Line>,
}

impl ParameterServer {
    /// Its shard has the initial values.
    pub(crate) fn start(index: usize, life: u64, mix: &Mix) -> Result<Self, String> {
        let shard = mix.shard(index)?;
        let held = vec![Vec::new(); shard.parts().len()];
        let (connections, staged) = Default::default();
        Ok(Self { index, life, shard, secret: 0, connections, over: None, staged, held })
    }

    /// The process connected for a replica.
    pub(crate) fn caller(&self, replica: usize) -> Option<&Caller> {
        self.connections.get(&replica).map(|it| &it.caller)
    }

    /// A permitted process connects for a replica; an earlier connection ends.
    pub(crate) fn open(&mut self, replica: usize, line: Line, caller: Caller, stage: &mut Stage) {
        let before = self.connections.get(&replica).map(|it| it.line);
        let connection = Connection { line, caller, pull: None, open: None, before };
        self.connections.insert(replica, connection);
        if let Some(before) = before {
            stage.send_to_replica(before, ToReplica::Lost);
        }
    }

    /// Whether a message over a replaced connection is the first since, which may have been read
    /// before.
    pub(crate) fn had_read(&mut self, replica: usize, line: Line) -> bool {
        let connection = self.connections.get_mut(&replica);
        connection.is_some_and(|it| it.before.take_if(|before| *before == line).is_some())
    }

    pub(crate) fn is_open(&self, replica: usize, line: Line) -> bool {
        self.connections.get(&replica).is_some_and(|it| it.line == line)
    }

    /// Messages sent over it arrive, then its end.
    pub(crate) fn close(&mut self, replica: usize, line: Line, stage: &mut Stage) {
        if self.is_open(replica, line) {
            self.connections.remove(&replica);
            stage.send_to_replica(line, ToReplica::Lost);
        }
    }

    pub(crate) fn close_all(&mut self, stage: &mut Stage) {
        for connection in std::mem::take(&mut self.connections).into_values() {
            stage.send_to_replica(connection.line, ToReplica::Lost);
        }
    }

    /// To a replica that is connected.
    pub(crate) fn tell(
        &self,
        replica: usize,
        about: Option<Ticket>,
        reply: Reply,
        stage: &mut Stage,
    ) {
        if let Some(connection) = self.connections.get(&replica) {
            stage.send_to_replica(connection.line, ToReplica::Reply(about, reply));
        }
    }

    pub(crate) fn tell_all(&self, reply: &Reply, stage: &mut Stage) {
        for &replica in self.connections.keys() {
            self.tell(replica, None, reply.clone(), stage);
        }
    }

    /// Training is over.
    pub(crate) fn end(&mut self, ended: Ended, stage: &mut Stage) {
        self.over = Some(ended.clone());
        self.tell_all(&Reply::Ended(ended), stage);
    }

    /// A replica asks for the variables once they are newer than its own.
    pub(crate) fn pull(&mut self, replica: usize, after: Option<Version>, stage: &mut Stage) {
        if let Some(connection) = self.connections.get_mut(&replica) {
            connection.pull = Some(after);
        }
        self.send_values(stage);
    }

    fn send_values(&mut self, stage: &mut Stage) {
        let snapshot = self.shard.snapshot();
        let version = (snapshot.generation, snapshot.global_step);
        for connection in self.connections.values_mut() {
            if connection.pull.take_if(|after| after.is_none_or(|it| it < version)).is_some() {
                let (line, values) = (connection.line, Arc::clone(&snapshot));
                // They come in pieces, and are of no use until the last one is there.
                stage.send_to_replica(line, ToReplica::Values(None));
                stage.send_to_replica(line, ToReplica::Values(Some(values)));
            }
        }
    }

    /// A contribution's data is to come.
    pub(crate) fn begin(
        &mut self,
        replica: usize,
        (ticket, sequence): (Ticket, u64),
        sections: &[Section],
        stage: &mut Stage,
    ) {
        let contribution = contribution(replica, ticket, sequence);
        let announced = self.shard.announce(contribution, sections, ticket.generation);
        if stage.mix.bounded && self.index == 0 && !matches!(announced, Ok(Announced::Old) | Err(_))
        {
            self.tell(replica, Some(ticket), Reply::Room { sequence }, stage);
        }
        let open = match announced {
            Ok(Announced::Open(open)) => Some((open, ticket)),
            Ok(Announced::Held) => {
                self.acknowledge(replica, ticket, contribution, stage);
                None
            }
            Ok(Announced::Decided) => {
                self.staged(replica, ticket, (sequence, 0), stage);
                None
            }
            Ok(Announced::Old) => None,
            Err(error) => {
                stage.never("contributions that make sense are taken", error);
                None
            }
        };
        self.staged.insert(contribution, sections.iter().map(|section| section.part).collect());
        if let Some(connection) = self.connections.get_mut(&replica) {
            connection.open = open;
        }
    }

    /// Some bytes of the contribution that was announced.
    pub(crate) fn chunk(
        &mut self,
        replica: usize,
        section: usize,
        bytes: &[u8],
        stage: &mut Stage,
    ) {
        let Some(connection) = self.connections.get_mut(&replica) else { return };
        let Some((open, ticket)) = &connection.open else { return };
        let (contribution, ticket) = (open.contribution(), *ticket);
        let received = open.receive(section, bytes);
        if !matches!(received, Ok(false)) {
            connection.open = None;
        }
        match received {
            Ok(true) => self.acknowledge(replica, ticket, contribution, stage),
            // Another generation has begun, or it was decided on.
            Ok(false) | Err(StageError::Unknown { .. }) => {}
            Err(error) => stage.never("contributions that make sense are taken", error),
        }
    }

    fn acknowledge(
        &self,
        replica: usize,
        ticket: Ticket,
        contribution: Contribution,
        stage: &mut Stage,
    ) {
        let index = ServerIndex::new(self.index);
        let receipt = receipt(self.secret, index, ticket.generation, contribution);
        self.staged(replica, ticket, (contribution.sequence, receipt), stage);
    }

    fn staged(
        &self,
        replica: usize,
        ticket: Ticket,
        (sequence, receipt): (u64, u64),
        stage: &mut Stage,
    ) {
        // The leader knows of its own part.
        if self.index > 0 {
            self.tell(replica, Some(ticket), Reply::Staged { sequence, receipt }, stage);
        }
    }

    /// Carries out the coordinator's decisions.
    pub(crate) fn carry_out(
        &mut self,
        command: &ShardCommand,
        stage: &mut Stage,
    ) -> Option<Applied> {
        let applied = match self.shard.carry_out(command) {
            Ok(applied) => applied,
            Err(error) => {
                stage.never("a shard can do what the coordinator decides", error);
                return None;
            }
        };
        for decision in command.decisions() {
            if let Decision::Admit { contribution, variables, .. } = decision {
                self.hold(*contribution, variables.as_deref());
            }
        }
        if let ShardCommand::Apply { variable, last, .. } = command {
            self.took(*variable, stage);
            if *last {
                self.publish(stage);
            }
        }
        applied
    }

    /// Begins a generation at a step.
    pub(crate) fn begin_generation(
        &mut self,
        state: Option<&ShardState<f64>>,
        generation: Generation,
        global_step: accum_core::GlobalStep,
        stage: &mut Stage,
    ) {
        if let Err(error) = self.shard.begin_from(state, generation, global_step) {
            return stage.never("a shard can begin a generation", error);
        }
        self.held.iter_mut().for_each(Vec::clear);
        self.staged.clear();
        self.publish(stage);
    }

    fn publish(&mut self, stage: &mut Stage) {
        let snapshot = self.shard.snapshot();
        let (server, generation) = (self.index, snapshot.generation);
        let elements: Vec<_> = values(self.shard.parts(), snapshot.variables.arrays()).collect();
        elements.iter().for_each(|&(element, value)| stage.shown[element] = value);
        let global_step = snapshot.global_step;
        stage.note(&Fact::Published { server, generation, global_step, elements: &elements });
        self.send_values(stage);
    }

    fn hold(&mut self, contribution: Contribution, variables: Option<&[VariableIndex]>) {
        let generation = self.shard.snapshot().generation;
        let Contribution { replica, incarnation, sequence } = contribution;
        let by = Contributor { generation, replica, incarnation, sequence };
        for part in self.staged.remove(&contribution).unwrap_or_default() {
            let variable = self.shard.parts()[part].variable;
            if variables.is_none_or(|variables| variables.contains(&variable)) {
                self.held[part].push(by);
            }
        }
    }

    fn took(&mut self, variable: Option<VariableIndex>, stage: &mut Stage) {
        let parts = self.shard.parts().iter().zip(&mut self.held);
        let taken = parts.filter(|(part, _)| variable.is_none_or(|it| it == part.variable));
        let contributors: Vec<_> = taken.map(|(_, held)| std::mem::take(held)).collect();
        let (server, lane) = (self.index, variable.map_or(0, VariableIndex::get));
        stage.note(&Fact::Took { server, lane, contributors: &contributors });
    }
}

/// Elements of parts, each with its value.
pub(crate) fn values<'a>(
    parts: &'a [Part],
    arrays: &'a [Arc<ndarray::ArrayD<f64>>],
) -> impl Iterator<Item = (usize, f64)> + 'a {
    parts.iter().zip(arrays).flat_map(|(part, array)| {
        let rows = part.rows.clone().map(|row| part.variable.get() * ROWS + row);
        rows.zip(array.iter().copied())
    })
}

fn contribution(replica: usize, ticket: Ticket, sequence: u64) -> Contribution {
    let replica = ReplicaId::new(replica as u64);
    Contribution { replica, incarnation: ticket.incarnation, sequence }
}
