//! Rust source taken apart into code and comments, without being parsed.
//!
//! Enough of the language's lexical rules that a word in a string or a brace in a comment deceives
//! no rule; no more. Invariant: both parts have the lines and columns of the text, with spaces
//! where the other part (or the inside of a literal) was.

use std::ops::Range;

/// What stands above an item that only tests are built with.
const TEST_MARK: &str = "#[cfg(test)]";

/// One source text in its two parts.
pub(crate) struct Source {
    /// The text without comments and without what is inside strings and character literals.
    pub(crate) code: String,
    /// The comments alone, with their slashes.
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Source {
    /// Takes `text` apart; what is left open at its end runs to the end.
    pub(crate) fn new(text: &str) -> Source {
        let chars: Vec<char> = text.chars().collect();
        let mut source = Source { code: String::new(), comments: String::new() };
        let mut at = 0;
        while at < chars.len() {
            let (part, end) = piece(&chars, at);
            let end = end.min(chars.len());
            for &c in &chars[at..end] {
                let blank = if c == '\n' { '\n' } else { ' ' };
                source.code.push(if part == Part::Code { c } else { blank });
                source.comments.push(if part == Part::Comment { c } else { blank });
            }
            at = end;
        }
        source
    }

    /// The code with every item under `#[cfg(test)]` blanked.
    pub(crate) fn code_without_tests(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find(TEST_MARK) {
            let end = item_end(&code, start + TEST_MARK.len());
            let blank: String =
                code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            code.replace_range(start..end, &blank);
        }
        code
    }

    /// The lines of every item under `#[cfg(test)]`, from 1.
    pub(crate) fn test_lines(&self) -> Vec<Range<usize>> {
        let code = &self.code;
        let starts = code.match_indices(TEST_MARK).map(|(start, _)| start);
        starts
            .map(|start| line(code, start)..line(code, item_end(code, start + TEST_MARK.len())) + 1)
            .collect()
    }

    /// Each function with a body: the line it starts on (from 1), its name, how many lines it has.
    pub(crate) fn functions(&self) -> Vec<(usize, &str, usize)> {
        let code = &self.code;
        words(code, "fn ")
            .into_iter()
            .filter_map(|start| {
                let rest = code[start..].strip_prefix("fn ")?;
                let name = &rest[..rest.find(|c: char| !is_word(c))?];
                let end = item_end(code, start);
                let has_body = code[..end].ends_with('}');
                let lines = code[start..end].lines().count();
                (has_body && !name.is_empty()).then(|| (line(code, start), name, lines))
            })
            .collect()
    }
}

/// Where `needle` stands in `text` as a word of its own.
///
/// An end of `needle` that is no letter, digit or `_` may touch anything.
pub(crate) fn words(text: &str, needle: &str) -> Vec<usize> {
    let opens = needle.starts_with(is_word);
    let closes = needle.ends_with(is_word);
    text.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|&at| !(opens && text[..at].ends_with(is_word)))
        .filter(|&at| !(closes && text[at + needle.len()..].starts_with(is_word)))
        .collect()
}

/// The line, counted from 1, of the byte `at`.
pub(crate) fn line(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the item that starts at `start`: behind its `;`, or behind its body's closing brace.
fn item_end(code: &str, start: usize) -> usize {
    // A `;` between brackets belongs to an array's type, one between braces to a body.
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        let closed = brackets <= 0 && braces <= 0;
        if closed && (c == ';' || c == '}') {
            return start + at + 1;
        }
    }
    code.len()
}

/// What the piece at `at` is, and where it ends.
fn piece(chars: &[char], at: usize) -> (Part, usize) {
    let peek = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    let inside_word = at > 0 && is_word(chars[at - 1]);
    match (chars[at], peek(1)) {
        ('/', '/') => (Part::Comment, find(chars, at, |c| c == '\n')),
        ('/', '*') => (Part::Comment, block_comment_end(chars, at)),
        ('"', _) => (Part::Literal, quoted_end(chars, at)),
        ('\'', '\\') => (Part::Literal, quoted_end(chars, at)),
        // A lifetime has no closing quote two further on.
        ('\'', _) if peek(2) == '\'' => (Part::Literal, at + 3),
        ('r', '"' | '#') if !inside_word || "bc".contains(chars[at - 1]) => {
            raw_string_end(chars, at + 1).map_or((Part::Code, at + 1), |end| (Part::Literal, end))
        }
        _ => (Part::Code, at + 1),
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| wanted(c)).map_or(chars.len(), |ahead| from + ahead)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Behind the quote that closes the one at `start`; a backslash hides the character after it.
fn quoted_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != chars[start] {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Behind a raw string whose hashes begin at `start`; nothing when it is a raw identifier.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let open = find(chars, start, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - start;
    let mut at = open + 1;
    while at < chars.len() {
        let tail = &chars[at + 1..];
        if chars[at] == '"' && tail.iter().take_while(|c| **c == '#').count() >= hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests;
