//! `cargo xtask explore`: every state of the engine, for a few replicas, a crash and a bad network.
//!
//! Only starts the tests that do it, in `tests/explore` of the crate `engine`, and shows their
//! numbers; with the other tests most are cut short.

use xshell::{Shell, cmd};

use crate::{Result, programs::ALL, steps::announce};

/// What a walk prints before its numbers.
const MARK: &str = "explored ";

/// Asks for whole walks, and says how far the one goes that is bounded.
const BOUND: &str = "EXPLORE_STEPS";

/// Events that keep the bounded walk to a few seconds; after 60 it has ended by itself.
const STEPS: u32 = 26;

/// Runs the walks, and prints states, transitions, depth, and what happened how often.
///
/// `steps` bounds the one walk that takes as long as the others together: so many events from its
/// start.
///
/// # Errors
/// When a law was broken; the shortest way to it has then been shown.
pub(crate) fn run(sh: &Shell, steps: Option<u32>) -> Result {
    let steps = steps.unwrap_or(STEPS).to_string();
    let walks = cmd!(sh, "cargo test --quiet {ALL...} --lib explore:: -- --nocapture")
        .env(BOUND, steps)
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
    walk.replacen(" ; ", "\n    ", 1)
}
