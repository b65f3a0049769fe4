//! The leader under its lock, and its slow work beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_replicas::Scalar;
use sync_replicas::store::TableSaves;
use tokio::sync::Notify;

use super::Leader;
use super::saving::Gathered;
use super::server_handle::ServerHandle;
use crate::index::ServerIndex;
use crate::proto::Ended;
use crate::server::parameter_server::ParameterServer;
use crate::server::settings::ServerSettings;
use crate::sync::lock;

/// What to do without the lock.
pub(super) enum Job<T: Scalar> {
    /// Write a checkpoint.
    Write(Gathered<T>),
    /// Write this process's rows of a checkpoint, into the folder of this name.
    WriteRows(String, TableSaves<T>),
    /// Try the last checkpoint again, after this time.
    SaveLater(Duration),
    /// This process has nothing more to do.
    GiveUp,
}

/// A leader that connections and tasks share.
pub(crate) struct SharedLeader<T: Scalar> {
    pub(crate) settings: Arc<ServerSettings>,
    /// Drawn when the process started.
    pub(crate) life: u64,
    /// The parameter server of this process.
    pub(crate) own: Arc<ParameterServer<T>>,
    /// All of them, by index.
    pub(crate) servers: Arc<[ServerHandle<T>]>,
    leader: Mutex<Leader<T>>,
    /// The required new generation can begin.
    pub(super) renewed: Notify,
    /// A checkpoint was written, or cannot be.
    pub(super) saved: Notify,
    /// Another server stayed away for too long, or another process has taken this one's place.
    pub(crate) gave_up: Notify,
}

/// How often the clock is read at least: leases begin at any time.
const TICK: Duration = Duration::from_millis(100);

impl<T: Scalar> SharedLeader<T> {
    pub(crate) fn new(
        settings: Arc<ServerSettings>,
        life: u64,
        own: Arc<ParameterServer<T>>,
    ) -> Arc<Self> {
        let leader = Leader::new(Arc::clone(&settings), Arc::clone(&own), life);
        Arc::new(Self {
            settings,
            life,
            own,
            servers: Arc::clone(&leader.servers),
            leader: Mutex::new(leader),
            renewed: Notify::new(),
            saved: Notify::new(),
            gave_up: Notify::new(),
        })
    }

    /// Has the leader act, alone; then carries out the jobs it leaves.
    pub(crate) fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Leader<T>) -> R) -> R {
        let mut leader = lock(&self.leader);
        let result = act(&mut leader);
        let jobs = std::mem::take(&mut leader.jobs);
        drop(leader);
        jobs.into_iter().for_each(|job| self.start(job));
        result
    }

    /// The same unless it is at work, for callers that need not wait and leave nothing to do.
    pub(crate) fn try_with(&self, act: impl FnOnce(&mut Leader<T>)) {
        if let Ok(mut leader) = self.leader.try_lock() {
            act(&mut leader);
        }
    }

    fn start(self: &Arc<Self>, job: Job<T>) {
        let shared = Arc::clone(self);
        match job {
            Job::Write(gathered) => drop(tokio::spawn(async move {
                let Some(checkpoints) = &shared.settings.duties.checkpoints else { return };
                let written = gathered.write(&shared.settings, checkpoints);
                shared.with(|leader| leader.written(written));
                shared.saved.notify_one();
            })),
            Job::WriteRows(aside, rows) => drop(tokio::spawn(async move {
                let written = shared.own.write_rows(&aside, rows);
                shared.with(|leader| leader.rows_came(ServerIndex::LEADER, &aside, written));
            })),
            Job::SaveLater(pause) => drop(tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                shared.with(|leader| {
                    if leader.saving.is_retried() && leader.ending.is_some() {
                        leader.begin_save();
                    }
                });
            })),
            Job::GiveUp => self.gave_up.notify_one(),
        }
    }

    /// Another server was told of the end by an earlier life of this one.
    pub(crate) fn learn_of_end(self: &Arc<Self>, ended: Ended) {
        if self.with(|leader| leader.learn_of_end(ended)) {
            self.saved.notify_one();
        }
    }

    /// The required new generation can begin.
    pub(crate) fn renew(&self) {
        self.renewed.notify_one();
        self.saved.notify_one();
    }

    /// Expires leases (P-5).
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let wait = self.with(|leader| {
                let next = leader.tick();
                next.map_or(TICK, |next| next.saturating_sub(leader.now()).min(TICK))
            });
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}
