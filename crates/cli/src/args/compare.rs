//! The options of `compare`.

use std::path::PathBuf;

use clap::Args;

/// The options of `compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Run folders, of runs that ended, failed, were killed, or still train; two at least
    #[arg(value_name = "RUN", num_args = 2.., required = true)]
    pub runs: Vec<PathBuf>,
    /// Also draw the curves of all runs, and the table, on one page
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// Write one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
}
