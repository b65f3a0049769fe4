//! The line of the run in its metrics: what was started where and when, with all settings.

use std::time::SystemTime;

use crate::config::Config;
use crate::error::Error;
use crate::host_time::{host, rfc_3339};
use crate::metrics::Run;
use crate::run_folder::RunFolder;
use crate::settings::Settings;

/// For a folder's run, with its recorded settings: those of a whole cluster, whichever process
/// writes them.
pub(super) fn run_line(settings: &Settings, folder: &RunFolder) -> Result<Run, Error> {
    let written = folder.config()?;
    let mut config = written.map_or_else(|| Config::of(settings), Ok)?;
    config.set("total_num_replicas", settings.total_num_replicas);
    Ok(Run {
        version: env!("CARGO_PKG_VERSION"),
        command: folder.command(),
        host: host(),
        started: rfc_3339(SystemTime::now()),
        run: folder.run(),
        settings: config,
    })
}
