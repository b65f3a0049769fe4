//! TLS of a process that listens: from files that may change while it runs.
//!
//! Certificates of a day are renewed under a training of weeks, so each connection checks the
//! files, and reads them again when they have changed. Invariant: unusable files change nothing;
//! the last usable ones stay.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::tls::{TlsError, TlsSettings, unusable};

/// How long a caller may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Makes connections out of callers' handshakes; clones are the same one.
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    settings: TlsSettings,
    /// The certificate names that may come in; all, if there are none.
    allowed: Vec<ServerName<'static>>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    files: Vec<Option<FileState>>,
    config: Arc<ServerConfig>,
}

/// What changes with a file's content.
type FileState = (SystemTime, u64);

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl TlsSettings {
    /// For a process that listens, which reads the files again when they change.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file is missing, cannot be read or does not fit the others.
    pub fn server(&self) -> Result<ServerTls, TlsError> {
        ServerTls::new(self.clone())
    }
}

impl ServerTls {
    pub(super) fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        let allowed = settings.allowed()?;
        let files = state(&settings);
        let config = Arc::new(config(&settings)?);
        let loaded = Mutex::new(Loaded { files, config });
        Ok(Self(Arc::new(Inner { settings, allowed, loaded })))
    }

    /// Makes an encrypted connection; `None` if the caller does not do its part in time.
    pub(crate) async fn accept<IO>(&self, io: IO) -> Option<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(self.config()).accept(io);
        match tokio::time::timeout(HANDSHAKE, handshake).await.ok()? {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
        }
    }

    /// Whether the caller's certificate is for one of the names that may come in.
    pub(crate) fn allows<IO>(&self, stream: &TlsStream<IO>) -> bool {
        let allowed = &self.0.allowed;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.and_then(|it| ParsedCertificate::try_from(it).ok());
        let named = |certificate: ParsedCertificate<'_>| {
            allowed.iter().any(|name| verify_server_name(&certificate, name).is_ok())
        };
        allowed.is_empty() || certificate.is_some_and(named)
    }

    /// From the files as they are now, if they are usable.
    fn config(&self) -> Arc<ServerConfig> {
        let settings = &self.0.settings;
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let files = state(settings);
        if files != loaded.files {
            match config(settings) {
                Ok(config) => {
                    loaded.config = Arc::new(config);
                    tracing::info!("certificates have changed and were read again");
                }
                // Half of them may be new; the rest changes the state once more.
                Err(error) => {
                    tracing::warn!(%error, "certificates have changed, and the earlier ones stay");
                }
            }
            loaded.files = files;
        }
        Arc::clone(&loaded.config)
    }
}

fn state(settings: &TlsSettings) -> Vec<Option<FileState>> {
    let files = [&settings.cert, &settings.key, &settings.ca];
    let state = |path: &std::path::PathBuf| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    files.into_iter().map(|path| path.as_ref().and_then(state)).collect()
}

fn config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let (cert, key) = settings.identity()?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match settings.authority()? {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&ca)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| unusable(&error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(&error))?;
    let config = builder.with_single_cert(certificates(&cert)?, key);
    let mut config = config.map_err(|error| unusable(&error))?;
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>();
    all.map_err(|error| unusable(&error))
}
