//! The replicas connected to a server: where to send their messages, and which variables they wait
//! for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sync_replicas::driver::Generation;
use sync_replicas::{GlobalStep, ReplicaId, Scalar, Snapshot};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::batches::{Batch, BatchSender, Unread, batch};
use crate::coordinator::Ticket;
use crate::number_format::NumberFormat;
use crate::place::Caller;
use crate::proto::to_replica::Message;
use crate::proto::{ToReplica, Values};
use crate::wire;

/// How many answers may wait for a replica that does not read.
const MOST_UNREAD: usize = 1000;

/// By replica, in order, so that a simulation sends in the same order each time.
pub(crate) struct ReplicaConnections {
    connections: BTreeMap<ReplicaId, ReplicaConnection>,
    /// What each replica's last connection has not read, even once it is closed.
    unread: BTreeMap<ReplicaId, Unread<ToReplica>>,
    /// How many were ever opened: the number of the last one.
    opened: u64,
    wire: NumberFormat,
}

struct ReplicaConnection {
    sender: BatchSender<ToReplica>,
    /// Its number here, which no other connection has.
    number: u64,
    caller: Caller,
    /// Whether to tell it of every step.
    follows: bool,
    pull: Option<WantedSnapshot>,
    /// Room for one snapshot on its way.
    room: Arc<Semaphore>,
    /// Room for one lookup's rows on their way.
    lookup_room: Arc<Semaphore>,
}

/// The variables that a replica waits for.
pub(crate) struct WantedSnapshot {
    /// A newer version than this.
    pub(crate) after: (Generation, GlobalStep),
    /// Whether with all bits, even where variables travel rounded.
    pub(crate) full: bool,
    /// Given back once the whole snapshot is on its way.
    pub(crate) place: OwnedSemaphorePermit,
}

impl ReplicaConnections {
    pub(crate) fn new(wire: NumberFormat) -> Self {
        Self { connections: BTreeMap::new(), unread: BTreeMap::new(), opened: 0, wire }
    }

    /// The process connected for a replica, as far as it is known.
    pub(crate) fn caller(&self, replica: ReplicaId) -> Option<&Caller> {
        let connection = self.connections.get(&replica).filter(|it| !it.sender.is_closed());
        connection.map(|it| &it.caller)
    }

    /// A process has connected for a replica, which it may; an earlier connection is closed, and
    /// what it has not read is given up: a process that connects again and again and reads nothing
    /// takes the memory of one connection (P-27). The new one's number.
    pub(crate) fn open(
        &mut self,
        replica: ReplicaId,
        caller: Caller,
        follows: bool,
        sender: BatchSender<ToReplica>,
    ) -> u64 {
        self.opened += 1;
        if let Some(earlier) = self.unread.insert(replica, sender.unread()) {
            earlier.give_up();
        }
        let one = || Arc::new(Semaphore::new(1));
        let (number, room, lookup_room) = (self.opened, one(), one());
        let connection =
            ReplicaConnection { sender, number, caller, follows, pull: None, room, lookup_room };
        self.connections.insert(replica, connection);
        number
    }

    pub(crate) fn close(&mut self, replica: ReplicaId, number: u64) {
        if self.connections.get(&replica).is_some_and(|it| it.number == number) {
            self.connections.remove(&replica);
        }
    }

    /// Whether this is still the replica's connection.
    pub(crate) fn is_open(&self, replica: ReplicaId, number: u64) -> bool {
        self.connections.get(&replica).is_some_and(|it| it.number == number)
    }

    /// The same, and the other end still reads.
    pub(crate) fn is_live(&self, replica: ReplicaId, number: u64) -> bool {
        let connection = self.connections.get(&replica).filter(|it| it.number == number);
        connection.is_some_and(|it| !it.sender.is_closed())
    }

    pub(crate) fn replicas(&self) -> Vec<ReplicaId> {
        self.connections.keys().copied().collect()
    }

    /// Those that follow every step.
    pub(crate) fn followers(&self) -> impl Iterator<Item = ReplicaId> {
        self.connections.iter().filter(|(_, it)| it.follows).map(|(replica, _)| *replica)
    }

    pub(crate) fn close_all(&mut self) {
        self.connections.clear();
    }

    /// Closes the connection of a replica that leaves many messages unread: it comes again, or is
    /// taken for dead.
    pub(crate) fn send(&mut self, replica: ReplicaId, messages: Vec<ToReplica>) {
        let Some(connection) = self.connections.get(&replica) else { return };
        drop(connection.sender.send(batch(messages)));
        if connection.sender.waiting() > MOST_UNREAD {
            tracing::warn!(%replica, "it reads nothing of {MOST_UNREAD} answers; it is closed");
            connection.sender.unread().give_up();
            self.connections.remove(&replica);
        }
    }

    /// Answers over one connection; a later one of the replica asks for itself.
    pub(crate) fn answer(
        &mut self,
        replica: ReplicaId,
        number: u64,
        ticket: Option<Ticket>,
        message: Message,
    ) {
        if self.is_open(replica, number) {
            self.send(replica, vec![wire::to_replica(ticket, message)]);
        }
    }

    pub(crate) fn send_to_all(&self, message: &Message) {
        for connection in self.connections.values() {
            drop(connection.sender.send(wrap(std::iter::once(message.clone()))));
        }
    }

    /// Room for one more snapshot, once the last one has been sent whole: a replica that asks and
    /// does not read takes the memory of one (P-27). An unsent request is dropped.
    pub(crate) fn room(&mut self, replica: ReplicaId, number: u64) -> Option<Arc<Semaphore>> {
        let connection = self.connections.get_mut(&replica).filter(|it| it.number == number)?;
        connection.pull = None;
        Some(Arc::clone(&connection.room))
    }

    /// Room for the rows of one more lookup, as for a snapshot.
    pub(crate) fn lookup_room(&self, replica: ReplicaId, number: u64) -> Option<Arc<Semaphore>> {
        let connection = self.connections.get(&replica).filter(|it| it.number == number)?;
        Some(Arc::clone(&connection.lookup_room))
    }

    /// Sends several messages, each made when it is sent, over one connection.
    pub(crate) fn send_made(
        &mut self,
        replica: ReplicaId,
        number: u64,
        messages: impl Iterator<Item = Message> + Send + 'static,
    ) {
        let connection = self.connections.get(&replica).filter(|it| it.number == number);
        if let Some(connection) = connection {
            drop(connection.sender.send(wrap(messages)));
        }
    }

    /// A replica asks for the variables once they are newer; says whether they are.
    pub(crate) fn pull<T: Scalar>(
        &mut self,
        replica: ReplicaId,
        wanted: WantedSnapshot,
        snapshot: &Arc<Snapshot<T>>,
    ) -> u64 {
        if let Some(connection) = self.connections.get_mut(&replica) {
            connection.pull = Some(wanted);
        }
        self.publish(snapshot)
    }

    /// Sends a snapshot to replicas that wait for one newer than theirs; how many do.
    pub(crate) fn publish<T: Scalar>(&mut self, snapshot: &Arc<Snapshot<T>>) -> u64 {
        let version = (snapshot.generation, snapshot.global_step);
        let wire = self.wire;
        let mut sent = 0;
        for connection in self.connections.values_mut() {
            if let Some(wanted) = connection.pull.take_if(|wanted| version > wanted.after) {
                let wire = if wanted.full { NumberFormat::Native } else { wire };
                let values = values(Arc::clone(snapshot), wire, wanted);
                drop(connection.sender.send(wrap(values)));
                sent += 1;
            }
        }
        sent
    }
}

fn wrap(messages: impl Iterator<Item = Message> + Send + 'static) -> Batch<ToReplica> {
    Box::new(messages.map(|message| wire::to_replica(None, message)))
}

/// A snapshot in pieces, each made when it is sent.
fn values<T: Scalar>(
    snapshot: Arc<Snapshot<T>>,
    wire: NumberFormat,
    wanted: WantedSnapshot,
) -> impl Iterator<Item = Message> + Send {
    let WantedSnapshot { full, place, .. } = wanted;
    let (generation, global_step) = (snapshot.generation.get(), snapshot.global_step.get());
    let message = move |part: usize, offset: usize, data: Bytes, last: bool| {
        let (part, offset) = (part as u32, offset as u64);
        Message::Values(Values { generation, global_step, part, offset, data, last, full })
    };
    let pieces = snapshot.variables.arrays().to_vec().into_iter().enumerate().flat_map(
        move |(part, array)| {
            let length = array.len();
            wire.pieces(array, 0..length)
                .map(move |(offset, data)| message(part, offset, data, false))
        },
    );
    pieces.chain(std::iter::once_with(move || {
        // Before the replica has it, and asks for more.
        drop(place);
        message(0, 0, Bytes::new(), true)
    }))
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use sync_replicas::Variables;
    use tokio_stream::Stream;

    use super::*;
    use crate::batches::{Batches, batches};

    const REPLICA: ReplicaId = ReplicaId::new(0);

    fn connected() -> (ReplicaConnections, Batches<ToReplica>) {
        let (sender, outgoing) = batches();
        let mut connections = ReplicaConnections::new(NumberFormat::Native);
        let caller = Caller { process: 7, connection: 1, ticket: None };
        assert_eq!(connections.open(REPLICA, caller, false, sender), 1);
        (connections, outgoing)
    }

    /// Takes everything that is there; how many messages.
    fn read(outgoing: &mut Batches<ToReplica>) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let mut next = || std::pin::Pin::new(&mut *outgoing).poll_next(&mut context);
        std::iter::from_fn(|| if let Poll::Ready(some) = next() { some } else { None }).count()
    }

    /// P-27: a replica that asks and does not read takes the memory of one snapshot.
    #[test]
    fn one_snapshot_is_on_its_way() {
        let (mut connections, mut outgoing) = connected();
        let place = |connections: &mut ReplicaConnections| {
            connections.room(REPLICA, 1).expect("it is connected").try_acquire_owned().ok()
        };
        let variables = Variables::new().with("w", ndarray::arr1(&[1.0_f32])).expect("one name");
        let (generation, global_step) = (Generation::new(1), GlobalStep::default());
        let snapshot = Arc::new(Snapshot { generation, global_step, variables });
        for _ in 0..3 {
            let free = place(&mut connections).expect("none is on its way");
            let after = (Generation::new(0), GlobalStep::default());
            let wanted = WantedSnapshot { after, full: false, place: free };
            assert_eq!(connections.pull(REPLICA, wanted, &snapshot), 1);
            assert!(place(&mut connections).is_none(), "a second one could be sent");
            assert_eq!(read(&mut outgoing), 2, "a piece, and the end");
        }
    }

    /// P-27: so does a process that connects again and again.
    #[test]
    fn one_connections_answers_are_kept() {
        let variables = Variables::new().with("w", ndarray::arr1(&[1.0_f32])).expect("one name");
        let (generation, global_step) = (Generation::new(1), GlobalStep::default());
        let snapshot = Arc::new(Snapshot { generation, global_step, variables });
        let (mut connections, mut first) = connected();
        let mut number = 1;
        for (begun, closed) in [(0, false), (0, true), (1, false), (1, true)] {
            let room = connections.room(REPLICA, number).expect("it is connected");
            let place = Arc::clone(&room).try_acquire_owned().expect("none is on its way");
            let after = (Generation::new(0), GlobalStep::default());
            connections.pull(REPLICA, WantedSnapshot { after, full: false, place }, &snapshot);
            assert_eq!(room.available_permits(), 0, "it is on its way");
            for _ in 0..begun {
                let mut context = Context::from_waker(Waker::noop());
                let next = std::pin::Pin::new(&mut first).poll_next(&mut context);
                assert!(next.is_ready(), "a piece");
            }
            if closed {
                connections.close(REPLICA, number);
            }
            let (sender, later) = batches();
            let caller = Caller { process: 7, connection: number, ticket: None };
            number = connections.open(REPLICA, caller, false, sender);
            assert_eq!(room.available_permits(), 1, "begun {begun}, closed {closed}");
            assert_eq!(read(&mut first), 0, "it ended");
            first = later;
        }
    }

    #[test]
    fn a_replica_that_reads_no_answer_is_closed() {
        let (mut connections, mut outgoing) = connected();
        for _ in 0..MOST_UNREAD {
            connections.send(REPLICA, Vec::new());
        }
        assert!(connections.is_open(REPLICA, 1));
        read(&mut outgoing);
        for sent in 0..=MOST_UNREAD {
            assert!(connections.is_open(REPLICA, 1), "after {sent}");
            connections.send(REPLICA, Vec::new());
        }
        assert!(!connections.is_open(REPLICA, 1));
    }
}
