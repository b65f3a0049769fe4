//! The options for the key and certificates with which a process joins a cluster.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// A key or certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
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
    /// A name that a caller's certificate may be for; several can be given; without one, any
    /// certificate that --tls-ca signed will do
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    pub tls_allow: Vec<String>,
}

impl SecurityArgs {
    /// The same files, wherever they are named.
    ///
    /// # Errors
    /// When the system does not tell where this process is.
    pub(crate) fn absolute(&self) -> std::io::Result<Self> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        Ok(Self {
            key_file: absolute(&self.key_file)?,
            tls_cert: absolute(&self.tls_cert)?,
            tls_key: absolute(&self.tls_key)?,
            tls_ca: absolute(&self.tls_ca)?,
            tls_allow: self.tls_allow.clone(),
        })
    }
}

const SECURITY: &str = "Security";
