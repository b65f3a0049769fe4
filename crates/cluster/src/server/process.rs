//! One process of a cluster that serves, from the request to end until the last process has heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_replicas::Scalar;
use sync_replicas::engine::StopReason;
use sync_replicas::record::Cursor;
use tonic::Status;

use super::follower::Follower;
use super::leader::ending::GRACE;
use super::leader::shared::SharedLeader;
use super::parameter_server::{ParameterServer, Release};
use super::serve_error::ServeError;
use super::settings::ServerSettings;
use crate::batches::Batches;
use crate::index::ServerIndex;
use crate::proto::{Done, Order};
use crate::shard::Shard;
use crate::stream::Receiving;
use crate::wire::Recorded;

/// A parameter server's process.
pub struct Server<T: Scalar> {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) own: Arc<ParameterServer<T>>,
    pub(super) commander: Commander<T>,
    /// No absent process is started again.
    expects_nobody: AtomicBool,
}

impl<T: Scalar> std::fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The leader or follower that commands the parameter server.
pub(super) enum Commander<T: Scalar> {
    Leader(Arc<SharedLeader<T>>),
    Follower(Arc<Follower<T>>),
}

/// How often to check whether all have heard of the end.
const LOOK: Duration = Duration::from_millis(20);

/// Supervisors wait little longer than this before they kill.
const LONGEST: Duration = Duration::from_secs(15);

impl<T: Scalar> Server<T> {
    /// A process that does not serve yet; its shard has the program's initial values. `life` is a
    /// number that no other process has.
    #[must_use]
    pub fn new(settings: ServerSettings, shard: Shard<T>, life: u64) -> Arc<Self> {
        let settings = Arc::new(settings);
        let own = Arc::new(ParameterServer::new(&settings, shard, life));
        let (theirs, shared) = (Arc::clone(&settings), Arc::clone(&own));
        let commander = match settings.index {
            ServerIndex::LEADER => Commander::Leader(SharedLeader::new(theirs, life, shared)),
            _ => Commander::Follower(Arc::new(Follower::new(theirs, life, shared))),
        };
        Arc::new(Self { settings, own, commander, expects_nobody: AtomicBool::new(false) })
    }

    pub(super) fn leader(&self) -> Option<&Arc<SharedLeader<T>>> {
        if let Commander::Leader(leader) = &self.commander { Some(leader) } else { None }
    }

    /// Takes a link of the leader's.
    pub(super) async fn follow(
        self: Arc<Self>,
        incoming: Receiving<Order>,
    ) -> Result<Batches<Done>, Status> {
        match &self.commander {
            Commander::Follower(follower) => Arc::clone(follower).serve(incoming).await,
            Commander::Leader(_) => {
                let reason = "ps 0 coordinates; it serves no coordinator";
                Err(Status::failed_precondition(reason))
            }
        }
    }

    /// The step of this server's variables.
    #[must_use]
    pub fn global_step(&self) -> sync_replicas::GlobalStep {
        self.own.shard().snapshot().global_step
    }

    /// The life of the shared state that this server is in.
    #[must_use]
    pub fn generation(&self) -> sync_replicas::driver::Generation {
        self.own.shard().snapshot().generation
    }

    /// Ends training, where the leader is here.
    pub(crate) fn stop(&self, reason: StopReason) {
        if let Some(leader) = self.leader() {
            leader.with(|leader| leader.stop(reason));
        }
    }

    /// Has a checkpoint written, where the leader is here.
    pub(crate) fn save(&self) {
        if let Some(leader) = self.leader() {
            leader.with(|leader| leader.request_save());
        }
    }

    /// No absent process comes back: the end waits only for those that are here.
    pub(crate) fn expect_no_returns(&self) {
        self.expects_nobody.store(true, Ordering::Release);
    }

    /// The training as the coordinator saw it; `None` where there is none.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        self.recorded_since(Cursor::default())
    }

    /// The same, without what a reader has seen.
    pub(crate) fn recorded_since(&self, cursor: Cursor) -> Option<Recorded> {
        self.leader()?.with(|leader| Some(leader.recorded(cursor)))
    }

    /// This server was asked to end: it leaves once what it holds is in a checkpoint. The others
    /// then count it as lost, and wait for it as long as for any lost one.
    ///
    /// Waits until it may leave, at most [`LONGEST`]. Once training is over it never completes:
    /// then the server ends with the training, but waits for no absent process.
    ///
    /// # Errors
    /// [`ServeError::Unsaved`] when no checkpoint has what it holds.
    pub(crate) async fn leave(&self) -> Result<(), ServeError> {
        tracing::info!("asked to end: it leaves once a checkpoint is written");
        self.own.leaving.store(true, Ordering::Release);
        match &self.commander {
            Commander::Leader(leader) => leader.with(|it| it.server_leaves(ServerIndex::LEADER)),
            Commander::Follower(follower) => follower.leave(),
        }
        loop {
            let release = tokio::time::timeout(LONGEST, self.released()).await;
            if self.own.is_over() {
                return std::future::pending().await;
            }
            if self.is_ending() {
                // It is told soon, or taken back with the loss of a server.
                tokio::time::sleep(LOOK).await;
                continue;
            }
            return match release {
                Ok(Release::Saved) => Ok(()),
                Ok(Release::Unsaved(reason)) => Err(ServeError::Unsaved { reason }),
                Err(_) => {
                    let reason = format!("no answer within {} s", LONGEST.as_secs());
                    Err(ServeError::Unsaved { reason })
                }
            };
        }
    }

    /// Waits until this server may leave. Releases the watched value: holding it would stop the
    /// threads that say so once more.
    async fn released(&self) -> Release {
        let mut released = self.own.released.subscribe();
        let release = released.wait_for(Option::is_some).await;
        // Fails only when the server is gone.
        release.ok().and_then(|it| it.clone()).unwrap_or(Release::Saved)
    }

    /// Whether training ends, told or not.
    fn is_ending(&self) -> bool {
        let ending = |leader: &Arc<_>| SharedLeader::with(leader, |it| it.ending.is_some());
        self.own.is_over() || self.leader().is_some_and(ending)
    }

    /// Waits, after the end, until all processes have heard of it and have what they want, at most
    /// [`GRACE`].
    pub(super) async fn until_all_have_heard(&self) {
        let all = async {
            while self.is_waited_for() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, all).await;
    }

    /// Whether a replica is here that wants the last variables, or will come to hear of the end.
    fn is_waited_for(&self) -> bool {
        if !self.own.connections().replicas().is_empty() {
            return true;
        }
        if self.expects_nobody.load(Ordering::Acquire) {
            return false;
        }
        match &self.commander {
            Commander::Leader(leader) => {
                let absent = !self.own.leaving.load(Ordering::Acquire);
                leader.with(|leader| leader.awaits(absent))
            }
            // The leader knows who has not come yet.
            Commander::Follower(follower) => follower.is_linked(),
        }
    }
}
