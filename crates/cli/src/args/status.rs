//! The options of `status`.

use clap::Args;

use super::security::SecurityArgs;

/// The options of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// A parameter server, HOST:PORT; the first one also reports the replicas. Or the run folder of
    /// a training that `launch` runs
    #[arg(value_name = "ADDR or RUN")]
    pub address: String,
    /// Show the replicas and what they did lately, again and again, until the training ends or
    /// Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The key or certificates for the server.
    #[command(flatten)]
    pub security: SecurityArgs,
}
