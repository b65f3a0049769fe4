//! The options of `stop`.

use clap::Args;

use super::security::SecurityArgs;

/// The options of `stop`.
#[derive(Clone, Debug, Args)]
pub struct StopArgs {
    /// The first parameter server, HOST:PORT
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// How to come in.
    #[command(flatten)]
    pub security: SecurityArgs,
}
