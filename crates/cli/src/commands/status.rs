//! `status`: a parameter server's own words, as a table or as JSON.
//!
//! Asks once and changes nothing.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use cluster::spec::check_address;
use cluster::{Connector, CoordinatorStatus, Recorded, ServerStatus};
use sync_replicas::driver::printable;
use sync_replicas::record::Cursor;

use crate::args::{SecurityArgs, StatusArgs};
use crate::commands::launch::Reach;
use crate::commands::security;
use crate::error::Error;
use crate::pages::observe::{Recent, View, rows};
use crate::system::output;
use crate::units::time;

/// Asks, and writes the answer to `out`.
///
/// # Errors
/// When the key or the certificates cannot be used, or the server does not answer.
pub fn status(args: &StatusArgs, out: &mut impl Write) -> Result<(), Error> {
    if args.watch {
        return watch(args, out);
    }
    let status =
        ask(&args.address, &args.security, async |connector| cluster::status(connector, 0).await)?;
    if args.json {
        return output::json(out, &status);
    }
    write!(out, "{}", table(&status)).map_err(Error::failed)
}

/// The time between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// The assumed width of a terminal that does not tell.
const COLUMNS: usize = 80;

/// How long to ask a missing server again: its process may be started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows the training again and again, until it has ended.
fn watch(args: &StatusArgs, out: &mut impl Write) -> Result<(), Error> {
    let is_terminal = std::io::stdout().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok()).unwrap_or(COLUMNS);
    let (mut watched, mut seen) = (Watched::default(), None);
    loop {
        let cursor = watched.cursor;
        let looked = ask(&args.address, &args.security, async |connector| {
            let status = cluster::status(connector, 0).await?;
            Ok((status, cluster::record(connector, cursor).await?))
        });
        let (text, ended) = match looked {
            Ok((status, recorded)) => {
                seen = Some(Instant::now());
                watched.take(&status, recorded);
                let ended = status.coordinator.as_ref().is_some_and(|it| it.ended.is_some());
                (rows(&View::new(&status, &watched.recent), columns), ended)
            }
            Err(error) if seen.is_some_and(|last| last.elapsed() < PATIENCE) => {
                // A launcher that has ended has taken its addresses with it.
                let folder = Path::new(&args.address);
                let over = folder.is_dir() && Reach::of(folder).is_err();
                let words = if over { "it is over" } else { "it is away, and asked again" };
                (format!("{words}: {error}\n"), over)
            }
            Err(error) => return Err(error),
        };
        // From the upper left corner, each line to its end, and nothing below.
        let text = match is_terminal {
            true => format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")),
            false => text + "\n",
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // A reader that has gone, as `head` does, has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(Error::failed)?,
        }
        if ended {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

/// What is known of one life of the training.
#[derive(Default)]
struct Watched {
    generation: u64,
    cursor: Cursor,
    recent: Recent,
}

impl Watched {
    /// Takes the news. Those of another life, or of another process, begin anew: the earlier times
    /// are not theirs.
    fn take(&mut self, status: &ServerStatus, recorded: Recorded) {
        let other = recorded.cursor.updates < self.cursor.updates;
        if other || status.generation != self.generation {
            *self = Self { generation: status.generation, ..Self::default() };
        }
        // What another process has told since then is asked for once more.
        if !other {
            self.cursor = recorded.cursor;
            self.recent.take(recorded.news);
        }
    }
}

/// Asks a parameter server something, over a connection that ends with the answer: the one at an
/// address, or the first of the training launched in a folder.
pub(crate) fn ask<V>(
    address: &str,
    args: &SecurityArgs,
    question: impl AsyncFnOnce(&Connector) -> Result<V, cluster::StatusError>,
) -> Result<V, Error> {
    let launched =
        Path::new(address).is_dir().then(|| Reach::of(Path::new(address))).transpose()?;
    let (address, args) = match launched.as_ref().and_then(|it| Some((it.ps.first()?, it))) {
        // A key or certificates that are named are meant.
        Some((first, _)) if *args != SecurityArgs::default() => (first.as_str(), args),
        Some((first, launched)) => (first.as_str(), &launched.security),
        None => {
            let option = "a run folder that is there, or the address of a parameter server";
            check_address(option, address).map_err(Error::usage)?;
            (address, args)
        }
    };
    let connector = security::connector(address, args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::failed)?;
    Ok(runtime.block_on(question(&connector))?)
}

/// The status for a person.
#[must_use]
pub fn table(status: &ServerStatus) -> String {
    let mut text = format!(
        "ps {}: step {}, generation {}, {} in {}, {} connected\n",
        status.server,
        status.global_step,
        status.generation,
        count(status.elements, "number"),
        count(status.parts, "part"),
        count(status.connected, "replica"),
    );
    // Writing to a string cannot fail.
    if let Some(what) = &status.waiting_for {
        let _ = writeln!(text, "it waits for {}", printable(what));
    }
    let Some(it) = &status.coordinator else { return text };
    let _ = writeln!(
        text,
        "{} of {} gradients make an update",
        it.replicas_to_aggregate, it.total_num_replicas
    );
    if let Some(reason) = &it.ended {
        let _ = writeln!(text, "training has ended: {}", printable(reason));
    } else {
        open_step(&mut text, status, it);
    }
    if status.failed_checkpoints > 0 {
        let _ = writeln!(
            text,
            "{} not written",
            count(usize::try_from(status.failed_checkpoints).unwrap_or(usize::MAX), "checkpoint")
        );
    }
    if let Some(reason) = &status.checkpoint_error {
        let reason = printable(reason);
        let _ = writeln!(text, "THE NEWEST CHECKPOINT WAS NOT WRITTEN: {reason}");
    }
    let _ = writeln!(
        text,
        "\n{:>7}  {:<10}{:>14}{:>8}{:>10}{:>8}  lost tokens",
        "replica", "state", "last heard", "step", "accepted", "stale"
    );
    for r in &it.replicas {
        let ago = |silent| format!("{} ago", time(silent));
        let heard = r.silent_seconds.map_or_else(|| "-".to_owned(), ago);
        let _ = write!(
            text,
            "{:>7}  {:<10}{heard:>14}{:>8}{:>10}{:>8}{:>13}",
            r.replica, r.state, r.local_step, r.accepted, r.stale, r.expired
        );
        let failure = r.failure.as_ref().map(|it| format!("\n{:9}{}", "", printable(it)));
        let failure = failure.unwrap_or_default();
        let _ = writeln!(text, "{failure}");
    }
    text
}

/// What the next update waits for.
fn open_step(text: &mut String, status: &ServerStatus, it: &CoordinatorStatus) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "the open step has {}, and {} free; {:.0} updates a second",
        match it.gradients {
            0 => "none yet".to_owned(),
            some => format!("{some} of them"),
        },
        match it.tokens {
            0 => "no token is".to_owned(),
            1 => "1 token is".to_owned(),
            many => format!("{many} tokens are"),
        },
        status.updates_per_second.unwrap_or_default(),
    );
    if status.serving == Some(false) {
        text.push_str("it waits for the other parameter servers, or restores a checkpoint\n");
        for it in status.servers.iter().filter(|it| !it.up) {
            let _ = writeln!(text, "ps {} has been away for {}", it.server, time(it.seconds));
        }
    }
    let waits = it.waiting_for.iter();
    let waits: Vec<String> =
        waits.map(|(replica, since)| format!("replica {replica} ({})", time(*since))).collect();
    let waits = if waits.is_empty() { "no replica".to_owned() } else { waits.join(", ") };
    let _ = writeln!(text, "the step waits for {waits}");
}

/// `1 part`, `2 parts`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
