//! What all connections of one parameter server share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sync_replicas::checkpoint::RunId;
use sync_replicas::engine::Config;
use sync_replicas::{Checkpoints, Record, Scalar};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::hub::Hub;
use super::link_serve::Served;
use super::posts::Posts;
use super::room::Room;
use crate::client::Connector;
use crate::coordinator::Order;
use crate::placement::Placement;
use crate::proto::Ended;
use crate::security::Guard;
use crate::shard::{Shard, ShardError, ShardState, Wire};

/// What a parameter server must know.
pub struct NodeSettings {
    /// Which server it is; number 0 coordinates.
    pub index: usize,
    /// Who owns which parts.
    pub placement: Arc<Placement>,
    /// What all processes must agree on.
    pub fingerprint: Vec<u8>,
    /// The engine's settings.
    pub config: Config,
    /// The run that checkpoints belong to, until one is gone on from.
    pub run: RunId,
    /// Where what happens is recorded, if anywhere; by the coordinator alone.
    pub record: Option<Record>,
    /// How many variables there are.
    pub variables: usize,
    /// How numbers travel.
    pub wire: Wire,
    /// How the coordinator reaches the others.
    pub reach: Connector,
    /// Where checkpoints go and how often; `None` for none.
    pub checkpoints: Option<Checkpoints>,
    /// The update to end after.
    pub last_step: Option<i64>,
    /// Whether to end when the loss is NaN or infinite.
    pub nan_guard: bool,
    /// How long a server waits for a coordinator that is gone.
    pub patience: Duration,
    /// How many contributions may be staged at once.
    pub staging: usize,
    /// Who asks callers for the key, if anybody does: for its counts.
    pub guard: Option<Arc<Guard>>,
}

/// One parameter server.
pub struct Node<T: Scalar> {
    pub(super) settings: NodeSettings,
    /// Drawn when the process started.
    pub(super) life: u64,
    /// The life of the coordinator, which no replica knows: receipts are made with it.
    pub(super) secret: AtomicU64,
    pub(super) origin: Instant,
    pub(super) shard: Mutex<Shard<T>>,
    pub(super) posts: Mutex<Posts>,
    pub(super) hub: Option<Mutex<Hub<T>>>,
    pub(super) served: Mutex<Served<T>>,
    /// A new generation is needed, and whoever begins it is told.
    pub(super) stale: AtomicBool,
    pub(super) renewed: Notify,
    /// Another server stayed away for too long, or another process has taken this one's place.
    pub(super) gave_up: Notify,
    /// How that showed, if it did.
    pub(super) replaced: OnceLock<String>,
    /// A checkpoint was written, or cannot be.
    pub(super) saved: Notify,
    pub(super) room: Room,
    /// Whether this server was asked to end.
    pub(super) leaving: AtomicBool,
    /// Once it may leave: why what it holds is not saved, empty where it is.
    pub(super) let_go: watch::Sender<Option<String>>,
    /// How the training ended, once it has and everything is saved.
    pub(super) over: watch::Sender<Option<Ended>>,
    pub(super) counters: Counters,
}

/// What is counted for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Payload bytes received.
    pub received_bytes: AtomicU64,
    /// Snapshots sent.
    pub snapshots: AtomicU64,
    /// Messages that made no sense.
    pub bad_messages: AtomicU64,
    /// Checkpoints written.
    pub checkpoints: AtomicU64,
    /// Checkpoints that were not written, though they should have been.
    pub failed_checkpoints: AtomicU64,
}

impl<T: Scalar + bytemuck::Pod> Node<T> {
    /// A server that does not serve yet; its shard has the program's initial values.
    #[must_use]
    pub fn new(settings: NodeSettings, shard: Shard<T>, life: u64) -> Arc<Self> {
        let hub = (settings.index == 0).then(|| Mutex::new(Hub::new(&settings, life)));
        Arc::new(Self {
            shard: Mutex::new(shard),
            posts: Mutex::new(Posts::new(settings.wire)),
            room: Room::new(settings.staging),
            hub,
            stale: AtomicBool::new(true),
            renewed: Notify::new(),
            saved: Notify::new(),
            gave_up: Notify::new(),
            replaced: OnceLock::new(),
            settings,
            life,
            secret: AtomicU64::new(life),
            origin: Instant::now(),
            served: Mutex::default(),
            leaving: AtomicBool::new(false),
            let_go: watch::channel(None).0,
            over: watch::channel(None).0,
            counters: Counters::default(),
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(super) fn shard(&self) -> MutexGuard<'_, Shard<T>> {
        lock(&self.shard)
    }

    pub(super) fn posts(&self) -> MutexGuard<'_, Posts> {
        lock(&self.posts)
    }

    /// One order of the coordinator, on this shard; the variable that was updated, if one was.
    pub(super) fn carry_out(&self, order: &Order) -> Result<Option<Applied>, ShardError> {
        let mut shard = self.shard();
        match order {
            Order::Admit { contribution, key, variables } => {
                crash_point!("server/before-admit");
                let admitted = shard.admit(*contribution, *key, variables.as_deref());
                // Not before: whoever gets the room wants the shard at once, and while that is at
                // work would hold up a thread that others are read on.
                self.room.release(*contribution);
                admitted?;
                crash_point!("server/after-admit");
                Ok(None)
            }
            Order::Discard(contribution) => {
                self.room.release(*contribution);
                shard.discard(*contribution);
                Ok(None)
            }
            Order::Apply { variable, global_step, last } => {
                crash_point!("server/before-apply");
                let generation = shard.snapshot().generation;
                shard.apply(variable.unwrap_or(0), *last, *global_step, generation)?;
                crash_point!("server/after-apply");
                Ok(Some(Applied { variable: *variable, published: *last }))
            }
        }
    }

    /// The step of this server's variables.
    #[must_use]
    pub fn global_step(&self) -> sync_replicas::GlobalStep {
        self.shard().snapshot().global_step
    }

    /// The life of the shared state that this server is in.
    #[must_use]
    pub fn generation(&self) -> sync_replicas::Generation {
        self.shard().snapshot().generation
    }

    /// The state of this server's shard.
    ///
    /// # Errors
    /// There is none of one step, since an update failed.
    pub(super) fn whole_state(&self) -> Result<ShardState<T>, String> {
        let shard = self.shard();
        match shard.is_whole() {
            true => Ok(shard.state()),
            false => Err("an update failed; what this server holds is of no one step".to_owned()),
        }
    }

    /// Sends the newest variables to whoever waits for them.
    pub(super) fn publish(&self) {
        let snapshot = self.shard().snapshot();
        let sent = self.posts().publish(&snapshot);
        self.counters.snapshots.fetch_add(sent, Ordering::Relaxed);
    }
}

/// A shard's part of an update is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    pub(super) variable: Option<usize>,
    pub(super) published: bool,
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
