//! `stop`: ends a cluster's training everywhere, with a checkpoint.
//!
//! Asks parameter server 0 and does not wait for the end.

use std::io::Write;

use crate::args::StopArgs;
use crate::commands::status::ask;
use crate::error::Error;

/// The training's reason for its end.
const REASON: &str = "`sync-replicas stop` was called";

/// Requests the end, and writes to `out` that it was heard.
///
/// # Errors
/// When no server has heard it.
pub fn stop(args: &StopArgs, out: &mut impl Write) -> Result<(), Error> {
    ask(&args.address, &args.security, async |connector| cluster::stop(connector, REASON).await)?;
    // A reader that has gone, as `head` does, is no failure.
    let _ = writeln!(out, "training ends; its last checkpoint is written first");
    Ok(())
}
