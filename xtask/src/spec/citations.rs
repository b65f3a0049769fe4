//! Where sources cite a number: in comments, of code or of a test.
//!
//! A range such as `R-1 to R-3` cites its two ends and not what lies between. Words in strings cite
//! nothing. Invariant: a comment under `#[cfg(test)]`, in a file `tests.rs` and in a folder `tests`
//! is a test's, and never code's.

use super::{cited_by::Where, numbers::Number, source};
use crate::tidy::tree::Tree;

/// One mention of a number.
pub(super) struct Citation {
    pub(super) number: Number,
    pub(super) by: Where,
    /// File and line.
    pub(super) place: String,
}

/// Every citation of every Rust source.
pub(super) fn all(tree: &Tree) -> Vec<Citation> {
    tree.texts(".rs").flat_map(|(path, text)| of_file(path, text)).collect()
}

fn of_file(path: &str, text: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for line in source::lines(text) {
        let by = match place(path) {
            Where::Code if line.of_test => Where::Test,
            place => place,
        };
        let place = format!("{path}:{}", line.number);
        let numbers = numbers(line.comment());
        found.extend(numbers.map(|number| Citation { number, by, place: place.clone() }));
    }
    found
}

/// The numbers that stand in a comment as words of their own.
fn numbers(comment: &str) -> impl Iterator<Item = Number> {
    let starts = comment.match_indices(|c: char| c.is_ascii_uppercase()).map(|(at, _)| at);
    starts.filter_map(|at| {
        let inside_word = comment[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let (number, rest) = Number::read(&comment[at..])?;
        (!inside_word && !rest.starts_with(char::is_alphanumeric)).then_some(number)
    })
}

/// What a whole file belongs to.
pub(super) fn place(path: &str) -> Where {
    let folders = format!("/{path}");
    let is_in = |folder: &str| folders.contains(&format!("/{folder}/"));
    if path.ends_with("/tests.rs") || is_in("tests") {
        Where::Test
    } else if is_in("examples") || is_in("benches") {
        Where::Elsewhere
    } else {
        Where::Code
    }
}
