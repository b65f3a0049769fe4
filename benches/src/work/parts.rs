//! What a child process of a row does, by its arguments.

use super::process::PART;
use super::{cluster, lookups, tcp};

/// Plays the part that a parent has named, if one has; says whether it did.
///
/// # Panics
/// When the part makes no sense, or cannot be played.
#[must_use]
pub fn play_part() -> bool {
    let Ok(part) = std::env::var(PART) else { return false };
    let words: Vec<&str> = part.split(' ').collect();
    match words.as_slice() {
        ["tcp-server", rest @ ..] => tcp::serve(rest),
        ["tcp-client", rest @ ..] => tcp::request(rest),
        ["reader", rest @ ..] => lookups::take_part(rest),
        [role @ ("ps" | "recording-ps" | "worker"), rest @ ..] => cluster::take_part(role, rest),
        _ => panic!("{PART} names no part: {part}"),
    }
    true
}
