//! The options of `stop`.

use clap::Args;

use super::security::SecurityArgs;

/// The options of `stop`.
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The first parameter server, HOST:PORT, or the run folder of a training that `launch` runs
    #[arg(value_name = "ADDR or RUN")]
    pub address: String,
    /// The key or certificates for the server.
    #[command(flatten)]
    pub security: SecurityArgs,
}
