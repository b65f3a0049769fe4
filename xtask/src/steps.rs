//! A list of checks that goes on after a failure, and its summary.
//!
//! Knows nothing of what is checked. Invariant: every step that was started has one row in the
//! summary, and the last line printed is `N passed, M failed`, whose sum is the number of rows.

use std::{
    fmt,
    time::{Duration, Instant},
};

use xshell::Cmd;

use crate::Result;

/// The steps done so far, in order.
#[derive(Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    error: Option<String>,
    took: Duration,
}

impl Steps {
    /// Does `work` as one step, and gives what it made, or nothing when it failed.
    ///
    /// A failure is printed where it happens and once more in the summary.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        let (made, error) = match outcome {
            Ok(made) => (Some(made), None),
            Err(error) => (None, Some(error.to_string())),
        };
        match &error {
            None => println!("--- {name}: passed in {:.1} s", took.as_secs_f64()),
            Some(error) => println!("--- {name}: FAILED in {:.1} s: {error}", took.as_secs_f64()),
        }
        self.rows.push(Row { name: name.to_owned(), error, took });
        made
    }

    /// Runs one command as one step.
    pub(crate) fn command(&mut self, name: &str, command: Cmd<'_>) {
        self.step(name, || {
            announce(&command);
            Ok(command.quiet().run()?)
        });
    }

    /// Prints the summary, and gives whether every step passed.
    pub(crate) fn finish(self) -> bool {
        println!("\n{self}");
        self.failed() == 0
    }

    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.error.is_some()).count()
    }
}

/// Shows a command before it runs, in the same stream as the steps.
pub(crate) fn announce(command: &Cmd<'_>) {
    println!("$ {command}");
}

impl fmt::Display for Steps {
    /// A table of step, result and seconds, and the totals alone on the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:width$}  result  seconds", "step")?;
        for Row { name, error, took } in &self.rows {
            let result = if error.is_some() { "FAILED" } else { "passed" };
            writeln!(f, "{name:width$}  {result}  {:7.1}", took.as_secs_f64())?;
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        writeln!(f, "{:width$}          {:7.1}\n", "total", total.as_secs_f64())?;
        for Row { name, error, .. } in &self.rows {
            if let Some(error) = error {
                writeln!(f, "{name}: {error}")?;
            }
        }
        let failed = self.failed();
        write!(f, "{} passed, {failed} failed", self.rows.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_of_three() -> Steps {
        let mut steps = Steps::default();
        assert_eq!(steps.step("one", || Ok(1)), Some(1));
        assert_eq!(steps.step::<()>("two", || Err("no such thing".into())), None);
        assert_eq!(steps.step("three", || Ok(())), Some(()));
        steps
    }

    #[test]
    fn goes_on_after_a_failure_and_counts_it() {
        let text = two_of_three().to_string();
        assert_eq!(text.lines().last(), Some("2 passed, 1 failed"));
        assert!(text.contains("two: no such thing"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("three  passed")), "{text}");
    }

    #[test]
    fn passes_exactly_when_no_step_failed() {
        assert!(!two_of_three().finish());
        assert!(Steps::default().finish());
    }
}
