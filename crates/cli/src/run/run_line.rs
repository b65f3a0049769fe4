//! The line of the run in its metrics: what was started where and when, with all settings.

use std::time::SystemTime;

use crate::config::Config;
use crate::error::Error;
use crate::run::folder::RunFolder;
use crate::run::metrics::Run;
use crate::settings::Settings;
use crate::system::host_time::{host, rfc_3339};

/// A folder's recorded settings: those of a whole cluster, whichever process writes them.
pub(crate) fn settings_of(settings: &Settings, folder: &RunFolder) -> Result<Config, Error> {
    let mut config = folder.config()?.map_or_else(|| Config::of(settings), Ok)?;
    config.set("total_num_replicas", settings.replicas.total_num_replicas);
    Ok(config)
}

/// For a folder's run, with these settings.
pub(super) fn run_line(folder: &RunFolder, settings: Config) -> Run {
    Run {
        version: env!("CARGO_PKG_VERSION"),
        command: folder.command(),
        host: host(),
        started: rfc_3339(SystemTime::now()),
        run: folder.run(),
        settings,
    }
}
