//! A process's place and related settings, from its environment: from schedulers, and from the
//! launcher.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Cluster, ProcessHandle};
use crate::security::SharedKey;
use crate::spec::{DEFAULT_PORT_BASE, Node, SpecError};

/// Names the key's file.
const KEY_FILE: &str = "SYNC_REPLICAS_KEY_FILE";
/// How many of Slurm's processes are parameter servers.
const PS: &str = "SYNC_REPLICAS_PS";
/// How many of the workers are backups.
const BACKUP: &str = "SYNC_REPLICAS_BACKUP";
/// For how many seconds to look for missing servers.
const PATIENCE: &str = "SYNC_REPLICAS_PATIENCE";
/// The run folder of the launcher.
const RUN_DIR: &str = "SYNC_REPLICAS_RUN_DIR";
/// Set by a launcher that this process must not outlive.
const LAUNCHED: &str = "SYNC_REPLICAS_LAUNCHED";

/// How often to check whether the launcher still runs.
#[cfg(unix)]
const LOOK: Duration = Duration::from_secs(1);

impl Cluster {
    /// The place that `TF_CONFIG` or Slurm's variables name; `None` without any. In Slurm's case
    /// the first processes are parameter servers, as many as `SYNC_REPLICAS_PS` says, or `ps` if it
    /// is not set.
    ///
    /// The key is that of the file that `SYNC_REPLICAS_KEY_FILE` names, if it is set;
    /// `SYNC_REPLICAS_BACKUP` says how many workers are backups, and `SYNC_REPLICAS_PATIENCE` for
    /// how many seconds to look for missing servers. `sync-replicas launch` sets all of them; the
    /// processes that it starts leave when it is gone.
    ///
    /// # Errors
    /// [`SpecError`] when they are invalid.
    pub fn from_env(ps: u64) -> Result<Option<Self>, SpecError> {
        let variable = |name: &str| std::env::var(name).ok();
        let said = variable(PS).map(|text| {
            text.parse().map_err(|_| SpecError::invalid(PS, "a number of servers", text))
        });
        let ps = said.transpose()?.unwrap_or(ps);
        let Some(place) = Node::from_env(variable, ps, DEFAULT_PORT_BASE)? else { return Ok(None) };
        let mut cluster = Self::new(place);
        if let Some(file) = std::env::var_os(KEY_FILE) {
            let key = SharedKey::read(Path::new(&file));
            let key =
                key.map_err(|it| SpecError::invalid(KEY_FILE, "a key file", it.to_string()))?;
            cluster = cluster.key(key);
        }
        if let Some(text) = variable(BACKUP) {
            let replicas = cluster.place.num_replicas();
            let backup = text.parse().ok().filter(|&backup: &u64| backup < replicas);
            let expected = "a number below that of the workers";
            let backup = backup.ok_or_else(|| SpecError::invalid(BACKUP, expected, &text))?;
            cluster = cluster.backup(backup);
        }
        if let Some(text) = variable(PATIENCE) {
            let seconds = text.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
            let seconds = seconds.ok_or_else(|| SpecError::invalid(PATIENCE, "seconds", &text))?;
            cluster = cluster.reconnect_timeout(seconds);
        }
        if variable(LAUNCHED).is_some() {
            leave_with_parent(cluster.handle.clone());
        }
        Ok(Some(cluster))
    }

    /// The run folder of the launcher that has started this process, if one has: for the program's
    /// own files.
    #[must_use]
    pub fn run_dir() -> Option<PathBuf> {
        std::env::var_os(RUN_DIR).map(PathBuf::from)
    }
}

/// Has this process leave once its parent is gone.
fn leave_with_parent(stop: ProcessHandle) {
    #[cfg(unix)]
    {
        let parent = std::os::unix::process::parent_id();
        let watch = move || {
            while std::os::unix::process::parent_id() == parent {
                std::thread::sleep(LOOK);
            }
            tracing::warn!("the launcher is gone, and this process leaves");
            stop.leave();
        };
        let thread = std::thread::Builder::new().name("launcher".to_owned()).spawn(watch);
        if let Err(error) = thread {
            tracing::warn!(%error, "whether the launcher runs is not looked at");
        }
    }
    #[cfg(not(unix))]
    drop(stop);
}
