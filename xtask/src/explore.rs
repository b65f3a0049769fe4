//! `cargo xtask explore`: every state of the engine, for a few replicas, a crash and a bad network.
//!
//! Only starts the tests that do it, in `engine/tests/explore` of sync-replicas, and shows their
//! numbers; they run with the other tests too.

use xshell::{Shell, cmd};

use crate::{Result, steps::announce};

/// What a walk prints before its numbers.
const MARK: &str = "explored ";

/// Runs the walks, and prints states, transitions, depth, and what happened how often.
///
/// # Errors
/// When a law was broken; the shortest way to it has then been shown.
pub(crate) fn run(sh: &Shell) -> Result {
    let walks =
        cmd!(sh, "cargo test --quiet --package sync-replicas --lib explore:: -- --nocapture")
            .ignore_status();
    announce(&walks);
    let output = walks.quiet().output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        print!("{text}");
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err("a walk through the engine's states failed".into());
    }
    let walks = text.lines().filter_map(|line| Some(line.split_once(MARK)?.1));
    let count = walks.inspect(|walk| println!("{}", shown(walk))).count();
    if count == 0 { Err("no walk was found".into()) } else { Ok(()) }
}

/// A walk's numbers, a line each for the states and for what happened on the way.
fn shown(walk: &str) -> String {
    let (states, happened) = walk.split_once(" ; ").unwrap_or((walk, ""));
    format!("{states}\n    {happened}")
}
