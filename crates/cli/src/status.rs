//! `status`: a parameter server's own words, as a table or as JSON.
//!
//! Asks once and changes nothing.

use std::fmt::Write as _;
use std::io::Write;

use cluster::client::Reach;
use cluster::exit::Exit;
use cluster::security::{KeyError, Signer, TlsError, TlsSettings, wall_clock};
use cluster::server::ServerStatus;

use crate::args::{SecurityArgs, StatusArgs};
use crate::say::{self, JsonError};
use crate::security;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server did not answer as it should.
    #[error(transparent)]
    Ask(#[from] cluster::StatusError),
    /// Nobody has the status.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No runtime, or nobody reads.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl StatusError {
    /// The exit status of the program: whether anybody was asked.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Key(_) | Self::Tls(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Asks, and writes the answer to `out`.
///
/// # Errors
/// [`StatusError`].
pub fn status(args: &StatusArgs, out: &mut impl Write) -> Result<(), StatusError> {
    let status = ask(&args.address, &args.security, async |reach| cluster::status(reach, 0).await)?;
    if args.json {
        say::json(out, &status)?;
    } else {
        write!(out, "{}", table(&status))?;
    }
    Ok(())
}

/// Asks a parameter server something, over a connection that ends with the answer.
pub(crate) fn ask<V>(
    address: &str,
    args: &SecurityArgs,
    question: impl AsyncFnOnce(&Reach) -> Result<V, cluster::StatusError>,
) -> Result<V, StatusError> {
    let tls = security::tls(args).as_ref().map(TlsSettings::client).transpose()?;
    let signer = Signer::new(security::key(args)?, wall_clock);
    let reach = Reach::tcp(vec![address.to_owned()], signer, tls);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question(&reach))?)
}

/// The status for a person.
#[must_use]
pub fn table(status: &ServerStatus) -> String {
    let mut text = format!(
        "ps {}: step {}, generation {}, {} numbers in {} parts, {} replicas connected\n",
        status.server,
        status.global_step,
        status.generation,
        status.elements,
        status.parts,
        status.connected,
    );
    let Some(it) = &status.coordinator else { return text };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} of {} gradients make an update; it has {}, {} tokens are free, {:.0} updates/s",
        it.replicas_to_aggregate,
        it.total_num_replicas,
        it.gradients,
        it.tokens,
        status.updates_per_second.unwrap_or_default(),
    );
    if let Some(reason) = &it.ended {
        let _ = writeln!(text, "training has ended: {reason}");
    } else if status.serving == Some(false) {
        text.push_str("it waits for the other parameter servers, or restores a checkpoint\n");
    }
    let waits: Vec<String> = it
        .waiting_for
        .iter()
        .map(|(replica, seconds)| format!("replica {replica} ({seconds:.1} s)"))
        .collect();
    let waits = if waits.is_empty() { "nobody".to_owned() } else { waits.join(", ") };
    let _ = writeln!(text, "the step waits for {waits}\n");
    let _ = writeln!(
        text,
        "{:>7}  {:<10}{:>10}{:>8}{:>10}{:>8}{:>9}",
        "replica", "state", "heard", "step", "accepted", "stale", "expired"
    );
    for r in &it.replicas {
        let heard = r.silent_seconds.map_or_else(|| "-".to_owned(), |it| format!("{it:.1} s"));
        let failure = r.failure.as_ref().map(|it| format!("  {it}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>7}  {:<10}{heard:>10}{:>8}{:>10}{:>8}{:>9}{failure}",
            r.replica, r.state, r.local_step, r.accepted, r.stale, r.expired
        );
    }
    text
}
