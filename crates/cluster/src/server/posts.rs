//! The replicas that are connected to a server: where messages to them go, and which variables
//! they wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sync_replicas::{Generation, GlobalStep, ReplicaId, Scalar, Snapshot};

use crate::batches::{Batch, BatchSender, batch};
use crate::coordinator::Ticket;
use crate::proto::to_replica::Message;
use crate::proto::{ToReplica, Values};
use crate::shard::Wire;
use crate::wire;

/// By replica, in order, so that a simulation sends in the same order each time.
pub(super) struct Posts {
    posts: BTreeMap<ReplicaId, Post>,
    wire: Wire,
}

struct Post {
    sender: BatchSender<ToReplica>,
    connection: u64,
    pull: Option<Wanted>,
}

/// The variables that a replica waits for.
pub(super) struct Wanted {
    /// A newer version than this.
    pub(super) after: (Generation, GlobalStep),
    /// With all bits, also where variables travel rounded.
    pub(super) full: bool,
}

impl Posts {
    pub(super) fn new(wire: Wire) -> Self {
        Self { posts: BTreeMap::new(), wire }
    }

    /// A replica has connected; an earlier connection of it is closed. The same number again is no
    /// connection of a replica, which counts them, but something that was sent before.
    pub(super) fn open(
        &mut self,
        replica: ReplicaId,
        connection: u64,
        sender: BatchSender<ToReplica>,
    ) -> bool {
        if self.posts.get(&replica).is_some_and(|post| post.connection >= connection) {
            return false;
        }
        self.posts.insert(replica, Post { sender, connection, pull: None });
        true
    }

    pub(super) fn close(&mut self, replica: ReplicaId, connection: u64) {
        if self.posts.get(&replica).is_some_and(|post| post.connection == connection) {
            self.posts.remove(&replica);
        }
    }

    /// Whether this is the replica's connection still.
    pub(super) fn is_open(&self, replica: ReplicaId, connection: u64) -> bool {
        self.posts.get(&replica).is_some_and(|post| post.connection == connection)
    }

    /// The same, and somebody still reads what is sent over it.
    pub(super) fn is_live(&self, replica: ReplicaId, connection: u64) -> bool {
        let post = self.posts.get(&replica).filter(|post| post.connection == connection);
        post.is_some_and(|post| !post.sender.is_closed())
    }

    pub(super) fn replicas(&self) -> Vec<ReplicaId> {
        self.posts.keys().copied().collect()
    }

    pub(super) fn close_all(&mut self) {
        self.posts.clear();
    }

    pub(super) fn send(&self, replica: ReplicaId, messages: Vec<ToReplica>) {
        if let Some(post) = self.posts.get(&replica) {
            drop(post.sender.send(batch(messages)));
        }
    }

    /// Answers over one connection; a later one of the replica asks for itself.
    pub(super) fn answer(
        &self,
        replica: ReplicaId,
        connection: u64,
        (ticket, message): (Option<Ticket>, Message),
    ) {
        if self.is_open(replica, connection) {
            self.send(replica, vec![wire::to_replica(ticket, message)]);
        }
    }

    pub(super) fn send_to_all(&self, message: &Message) {
        for post in self.posts.values() {
            drop(post.sender.send(wrap(std::iter::once(message.clone()))));
        }
    }

    /// A replica wants the variables once they are newer; says whether they are.
    pub(super) fn pull<T: Scalar + bytemuck::Pod>(
        &mut self,
        replica: ReplicaId,
        wanted: Wanted,
        snapshot: &Arc<Snapshot<T>>,
    ) -> u64 {
        if let Some(post) = self.posts.get_mut(&replica) {
            post.pull = Some(wanted);
        }
        self.publish(snapshot)
    }

    /// Sends a snapshot to whoever waits for one that is newer than theirs; how many do.
    pub(super) fn publish<T: Scalar + bytemuck::Pod>(
        &mut self,
        snapshot: &Arc<Snapshot<T>>,
    ) -> u64 {
        let version = (snapshot.generation, snapshot.global_step);
        let wire = self.wire;
        let mut sent = 0;
        for post in self.posts.values_mut() {
            if let Some(wanted) = post.pull.take_if(|wanted| version > wanted.after) {
                let wire = if wanted.full { Wire::Native } else { wire };
                let values = values(Arc::clone(snapshot), (wire, wanted.full));
                drop(post.sender.send(wrap(values)));
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
fn values<T: Scalar + bytemuck::Pod>(
    snapshot: Arc<Snapshot<T>>,
    (wire, full): (Wire, bool),
) -> impl Iterator<Item = Message> + Send {
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
    pieces.chain(std::iter::once(message(0, 0, Bytes::new(), true)))
}
