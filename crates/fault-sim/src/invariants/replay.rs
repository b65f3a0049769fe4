//! F-17: two runs of a seed are the same to the byte (S-8).
//!
//! Source: FoundationDB's and TigerBeetle's simulators, where a seed and a commit suffice to see a
//! failure again.

use super::Broken;

const NAME: &str = "F-17 a seed replays to the byte";

/// Compares the hashes of the traces of two runs.
///
/// # Errors
/// When they differ.
pub(crate) fn judge(first: u64, second: u64) -> Result<(), Broken> {
    if first == second {
        return Ok(());
    }
    let what = format!("the first run has the hash {first:016x}, the second {second:016x}");
    Err(Broken { invariant: NAME, what })
}
