//! TLS from files.
//!
//! Reads PEM files and hands them to the library; makes and renews no certificate. Invariant: with
//! settings at hand a connection is encrypted and checked, or there is an error: never plain text.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{error, io};

use sync_replicas::driver::describe;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::secret::{self, Closed, Exposed};

/// Which files; all of them PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate of this process, with those between it and the authority.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`.
    pub key: Option<PathBuf>,
    /// The authority that signed the others' certificates. A server that has it asks every caller
    /// for a certificate.
    pub ca: Option<PathBuf>,
    /// The names, among which a caller's certificate must have one as a subject alternative name;
    /// without any, all that `ca` signed may come in.
    pub allow: Vec<String>,
}

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file was not named.
    #[error("TLS: expected {option}, which {needed_by}, got none")]
    Missing {
        /// The option that names it.
        option: &'static str,
        /// Why it is needed.
        needed_by: &'static str,
    },
    /// A file could not be read.
    #[error(
        "{option} {}: expected a PEM file that this process can read, got: {source}",
        path.display()
    )]
    Read {
        /// The option that names it.
        option: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Other users of the machine could read the private key.
    #[error(transparent)]
    Exposed(Exposed),
    /// A file holds something else.
    #[error("{option} {}: expected a PEM file with a {expected}, got none in it", path.display())]
    Content {
        /// The option that names it.
        option: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A name that no certificate can have.
    #[error("{ALLOW}: expected the name or the IP address of a host, got {got:?}")]
    Name {
        /// The given name.
        got: String,
    },
    /// The files are readable and do not work.
    #[error(
        "TLS: expected files of --tls-cert, --tls-key and --tls-ca that fit together, got: {0}"
    )]
    Unusable(String),
}

const CERT: &str = "--tls-cert";
const KEY: &str = "--tls-key";
const CA: &str = "--tls-ca";
const ALLOW: &str = "--tls-allow";

impl TlsSettings {
    /// Whether callers must prove who they are, which [`check_bind`](super::check_bind) requires.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.ca.is_some()
    }

    /// For one call of a process, to an `https://` address: from the files as they are now.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file is missing, cannot be read or does not fit the others.
    pub fn client(&self) -> Result<ClientTlsConfig, TlsError> {
        let needed_by = "says whom to trust";
        let ca = self.ca.as_deref().ok_or(TlsError::Missing { option: CA, needed_by })?;
        let ca = read(CA, ca, CERTIFICATE)?;
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if self.cert.is_some() || self.key.is_some() {
            let (cert, key) = self.identity()?;
            config = config.identity(Identity::from_pem(cert, key));
        }
        let endpoint = Endpoint::from_static("https://localhost");
        endpoint.tls_config(config.clone()).map_err(|error| unusable(&error))?;
        Ok(config)
    }

    /// The certificate of this process and its key.
    pub(super) fn identity(&self) -> Result<(String, String), TlsError> {
        let missing = |option, needed_by| TlsError::Missing { option, needed_by };
        let cert = self.cert.as_deref();
        let cert = cert.ok_or(missing(CERT, "says who this process is"))?;
        let key = self.key.as_deref().ok_or(missing(KEY, "belongs to --tls-cert"))?;
        Ok((read(CERT, cert, CERTIFICATE)?, private_key(key)?))
    }

    /// The authority's certificate.
    pub(super) fn authority(&self) -> Result<Option<String>, TlsError> {
        self.ca.as_deref().map(|ca| read(CA, ca, CERTIFICATE)).transpose()
    }

    /// The names that may come in.
    pub(super) fn allowed(&self) -> Result<Vec<ServerName<'static>>, TlsError> {
        if self.ca.is_none() && !self.allow.is_empty() {
            let needed_by = "signs the certificates for the names of --tls-allow";
            return Err(TlsError::Missing { option: CA, needed_by });
        }
        let name = |name: &String| {
            ServerName::try_from(name.clone()).map_err(|_| TlsError::Name { got: name.clone() })
        };
        self.allow.iter().map(name).collect()
    }
}

/// What the first line of a file with a certificate says.
const CERTIFICATE: &str = "CERTIFICATE";

fn private_key(path: &Path) -> Result<String, TlsError> {
    let file = secret::open(KEY, path).map_err(|closed| match closed {
        Closed::Read(source) => unreadable(KEY, path, source),
        Closed::Exposed(exposed) => TlsError::Exposed(exposed),
    })?;
    // The label may be longer, such as "EC PRIVATE KEY".
    pem(KEY, path, file, "PRIVATE KEY")
}

fn read(option: &'static str, path: &Path, expected: &'static str) -> Result<String, TlsError> {
    let file = File::open(path).map_err(|source| unreadable(option, path, source))?;
    pem(option, path, file, expected)
}

fn pem(
    option: &'static str,
    path: &Path,
    mut file: File,
    expected: &'static str,
) -> Result<String, TlsError> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|source| unreadable(option, path, source))?;
    let holds = |line: &str| line.starts_with("-----BEGIN ") && line.contains(expected);
    if text.lines().any(holds) {
        return Ok(text);
    }
    Err(TlsError::Content { option, path: path.to_owned(), expected })
}

fn unreadable(option: &'static str, path: &Path, source: io::Error) -> TlsError {
    TlsError::Read { option, path: path.to_owned(), source }
}

/// The library says what is wrong only in the causes of its error.
pub(super) fn unusable(error: &dyn error::Error) -> TlsError {
    TlsError::Unusable(describe(error))
}
