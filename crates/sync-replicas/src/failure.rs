//! What went wrong, in words: errors with their causes, panics with their messages.
//!
//! Text only; other code decides what ends because of it.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;

/// An error with its causes, on one line, each said once.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    with_causes(error.to_string(), error)
}

/// A text about an error, followed by the causes that it does not mention.
#[must_use]
pub fn with_causes(mut text: String, error: &dyn Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Some errors tell their cause themselves.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// Foreign words, as a terminal may show them: control characters are escaped.
// P-27
#[must_use]
pub fn printable(words: &str) -> Cow<'_, str> {
    if !words.contains(char::is_control) {
        return words.into();
    }
    let mut shown = String::with_capacity(words.len());
    for char in words.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
    }
    shown.into()
}

/// A panic's message.
pub fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::describe;

    #[derive(Debug, thiserror::Error)]
    enum Told {
        #[error("no connection")]
        Apart(#[source] io::Error),
        #[error("no connection: {0}")]
        Within(#[source] io::Error),
        #[error("try later")]
        Above(#[source] Box<Told>),
    }

    #[track_caller]
    fn check(error: &Told, expected: &str) {
        assert_eq!(describe(error), expected);
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = || io::Error::other("refused (os error 111)");
        check(&Told::Apart(refused()), "no connection: refused (os error 111)");
        check(&Told::Within(refused()), "no connection: refused (os error 111)");
        let above = Told::Above(Box::new(Told::Within(refused())));
        check(&above, "try later: no connection: refused (os error 111)");
    }
}
