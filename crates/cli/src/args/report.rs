//! The options of `report`.

use std::path::PathBuf;

use clap::Args;

/// The options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run folder, of a run that ended, failed, was killed, or still trains
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}
