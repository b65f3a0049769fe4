//! Words and paragraphs of an answer in a terminal.

/// Shown for what cannot be told.
pub(super) const NONE: &str = "-";

/// The columns of a terminal.
const WIDTH: usize = 80;

/// A paragraph wrapped for a terminal, with the second and later lines indented.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push_str(&format!("\n{indent}{word}"));
            column = indent.chars().count() + length;
        } else {
            let space = if column > 0 { " " } else { "" };
            out.push_str(&format!("{space}{word}"));
            column += space.len() + length;
        }
    }
    out.push('\n');
    out
}

pub(super) fn count(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}
