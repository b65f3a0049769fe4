//! What a training that was run for a check has come to, held against a bound.
//!
//! Runs one command and reads what it prints; which trainings there are is others' business.

use std::str;

use xshell::Cmd;

use crate::{Result, steps::announce};

/// What a number must be.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    /// Says what came, and fails where it should not have.
    ///
    /// # Errors
    /// When the number is on the wrong side.
    pub(crate) fn check(self, what: &str, got: f64) -> Result {
        let (words, limit, holds) = match self {
            Self::AtLeast(limit) => ("at least", limit, got >= limit),
            Self::AtMost(limit) => ("at most", limit, got <= limit),
        };
        println!("{what} {got:.4}, {words} {limit} expected");
        if holds { Ok(()) } else { Err(format!("{what} is {got}, not {words} {limit}").into()) }
    }
}

/// Runs a training, and looks at the number that it prints last, behind the words `what`.
///
/// # Errors
/// When it fails, prints no such line, or the number is on the wrong side.
pub(crate) fn learned(command: Cmd<'_>, what: &str, bound: Bound) -> Result {
    let said = shown(command)?;
    let number = said.lines().rev().find_map(|line| line.strip_prefix(what)?.trim().parse().ok());
    bound.check(what, number.ok_or_else(|| format!("no line `{what} NUMBER` was printed"))?)
}

/// Runs a command whose output is wanted by us and by the person who reads along.
///
/// # Errors
/// When it fails.
pub(crate) fn shown(command: Cmd<'_>) -> Result<String> {
    announce(&command);
    let output = command.quiet().ignore_status().output()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let text = str::from_utf8(&output.stdout)?.to_owned();
    print!("{text}");
    if !output.status.success() {
        return Err(format!("the command ended with {}", output.status).into());
    }
    Ok(text)
}
