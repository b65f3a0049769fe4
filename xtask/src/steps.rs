//! A list of checks that goes on after a failure, and its summary.
//!
//! Knows nothing of what is checked. Invariant: every step that was started has one row in the
//! summary, and the last line printed is `N passed, M failed`, whose sum is the number of rows.

use std::{
    fmt,
    io::{self, Write},
    process::{Command, Output},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use xshell::Cmd;

use crate::Result;

/// The steps done so far, in order.
pub(crate) struct Steps {
    rows: Vec<Row>,
    begun: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        Self { rows: Vec::new(), begun: Instant::now() }
    }
}

/// A command that runs beside the steps after it, until it is [joined](Steps::join) as one of them.
pub(crate) struct Beside {
    name: String,
    words: String,
    running: JoinHandle<(io::Result<Output>, Duration)>,
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
        self.note(name, error, took);
        made
    }

    fn note(&mut self, name: &str, error: Option<String>, took: Duration) {
        match &error {
            None => println!("--- {name}: passed in {:.1} s", took.as_secs_f64()),
            Some(error) => println!("--- {name}: FAILED in {:.1} s: {error}", took.as_secs_f64()),
        }
        self.rows.push(Row { name: name.to_owned(), error, took });
    }

    /// Runs one command as one step.
    pub(crate) fn command(&mut self, name: &str, command: Cmd<'_>) {
        self.step(name, || {
            announce(&command);
            Ok(command.quiet().run()?)
        });
    }

    /// Starts a command that waits more than it computes, to be [joined](Self::join) later.
    pub(crate) fn beside(name: &str, command: Cmd<'_>) -> Beside {
        let (name, words) = (name.to_owned(), command.to_string());
        println!("\n=== {name} begins beside the next steps");
        let mut command = Command::from(command);
        let start = Instant::now();
        let running = thread::spawn(move || (command.output(), start.elapsed()));
        Beside { name, words, running }
    }

    /// Waits for such a command, and prints what it has said.
    pub(crate) fn join(&mut self, beside: Beside) {
        let Beside { name, words, running } = beside;
        println!("\n=== {name}\n$ {words}");
        let joined = running.join().map_err(|_| io::Error::other("its thread panicked"));
        let (error, took) = match joined {
            Ok((Ok(output), took)) => {
                // Whoever reads along may have gone; the summary says what matters.
                let _ = io::stdout().write_all(&output.stdout);
                let _ = io::stdout().write_all(&output.stderr);
                let failed = (!output.status.success()).then(|| output.status.to_string());
                (failed, took)
            }
            Ok((Err(error), took)) => (Some(error.to_string()), took),
            Err(error) => (Some(error.to_string()), Duration::ZERO),
        };
        self.note(&name, error, took);
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
        // Less than the sum of all, of which some ran beside others.
        let total = self.begun.elapsed().as_secs_f64();
        writeln!(f, "{:width$}          {total:7.1}\n", "total")?;
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
    fn what_ran_beside_others_is_a_step_as_well() {
        let sh = xshell::Shell::new().expect("a shell");
        let mut steps = Steps::default();
        let bad = Steps::beside("bad", xshell::cmd!(sh, "cargo no-such-command"));
        let good = Steps::beside("good", xshell::cmd!(sh, "cargo --version"));
        steps.join(good);
        steps.join(bad);
        let text = steps.to_string();
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed"));
        assert!(text.contains("bad: exit status"), "{text}");
    }

    #[test]
    fn passes_exactly_when_no_step_failed() {
        assert!(!two_of_three().finish());
        assert!(Steps::default().finish());
    }
}
