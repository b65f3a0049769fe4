//! The options that say with what key and certificates a process joins a cluster.

use std::path::PathBuf;

use clap::Args;

/// A key or certificates.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = SECURITY)]
pub struct SecurityArgs {
    /// A key of at least 32 bytes that all processes share; only its owner and group may read it
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The certificate of this process
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert; only its owner and group may read it
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// The authority that signed the others' certificates; servers then ask callers for one
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

const SECURITY: &str = "Security";
