//! From the options to the key and the certificates that `cluster` takes.

use cluster::Connector;
use cluster::security::{KeyError, SharedKey, Signer, TlsSettings, wall_clock};

use crate::args::SecurityArgs;
use crate::error::Error;

/// What calls a parameter server at this address.
///
/// # Errors
/// When the key or the certificates cannot be used: at once, and not by the first call.
pub(crate) fn connector(address: &str, args: &SecurityArgs) -> Result<Connector, Error> {
    let tls = tls(args);
    tls.as_ref().map(TlsSettings::client).transpose()?;
    let signer = Signer::new(key(args)?, wall_clock);
    Ok(Connector::tcp(vec![address.to_owned()], signer, tls))
}

/// The key, read from its file.
pub(crate) fn key(args: &SecurityArgs) -> Result<Option<SharedKey>, KeyError> {
    args.key_file.as_deref().map(SharedKey::read).transpose()
}

/// The files for TLS, if any is given.
pub(crate) fn tls(args: &SecurityArgs) -> Option<TlsSettings> {
    let (cert, key, ca) = (args.tls_cert.clone(), args.tls_key.clone(), args.tls_ca.clone());
    let allow = args.tls_allow.clone();
    let any = cert.is_some() || key.is_some() || ca.is_some() || !allow.is_empty();
    any.then_some(TlsSettings { cert, key, ca, allow })
}
