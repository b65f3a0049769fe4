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
    /// All of it, as one JSON object
    #[arg(long)]
    pub json: bool,
    /// How to come in.
    #[command(flatten)]
    pub security: SecurityArgs,
}
