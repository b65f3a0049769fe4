//! The options of `status`.

use clap::Args;

use super::security::SecurityArgs;

/// The options of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// A parameter server, HOST:PORT, of which the first one also tells of the replicas; or the run
    /// folder of a training that `launch` runs
    #[arg(value_name = "ADDR or RUN")]
    pub address: String,
    /// Shows the replicas and what they did lately, again and again, until the training ends or
    /// Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
    /// All of it, as one JSON object
    #[arg(long)]
    pub json: bool,
    /// How to come in.
    #[command(flatten)]
    pub security: SecurityArgs,
}
