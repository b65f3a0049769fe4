//! The progress of a training: a bar on a terminal, plain lines elsewhere, or nothing.
//!
//! Everything goes to standard error; standard output is for results.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tabular::scores::Scores;

use crate::run::summary::headline;
use crate::system::output::say;

/// The time between two plain lines, unless a tenth of the run has passed.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Where progress is shown.
#[derive(Debug)]
pub(crate) enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// In a file or a pipe.
    Lines {
        /// The global step at the end.
        last: u64,
        /// The tenth of the run shown last.
        tenth: u64,
        /// When that was.
        told: Instant,
    },
    /// Nowhere.
    Quiet,
}

/// The content of a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// The global step.
    pub(crate) step: u64,
    /// The mean loss of its gradients.
    pub(crate) loss: Option<f64>,
    /// Updates a second.
    pub(crate) rate: f64,
    /// Stale gradients dropped so far.
    pub(crate) stale: u64,
    /// The update that was tested last, and its result.
    pub(crate) test: Option<(i64, Scores)>,
}

impl Progress {
    /// The kind that suits standard error, from one global step to another.
    #[must_use]
    pub(crate) fn new(quiet: bool, first: u64, last: u64) -> Self {
        if quiet {
            return Self::Quiet;
        }
        // A dumb terminal shows no bar: it cannot go back in its line.
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Self::Lines { last, tenth: 0, told: Instant::now() };
        }
        let bar = ProgressBar::with_draw_target(Some(last), ProgressDrawTarget::stderr());
        // What does not fit is cut off: a line that wraps cannot be drawn over, and would take
        // other messages with it.
        let template = match console::Term::stderr().size().1 {
            100.. => "{bar:32.cyan/dim} {pos}/{len} updates  {wide_msg}",
            60.. => "{bar:12.cyan/dim} {pos}/{len}  {wide_msg}",
            _ => "{pos}/{len}  {wide_msg}",
        };
        // The template is a constant; were it wrong, indicatif's own look would do.
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─");
        Self::Bar(bar.with_style(style).with_position(first))
    }

    /// Shows an update.
    pub(crate) fn update(&mut self, state: &State) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_position(state.step);
                bar.set_message(words(state));
            }
            Self::Lines { last, tenth, told } => {
                let now = state.step.saturating_mul(10) / (*last).max(1);
                if now > *tenth || told.elapsed() >= LINE_EVERY {
                    (*tenth, *told) = (now, Instant::now());
                    // No user reads it when this fails, and training goes on.
                    let _ =
                        writeln!(io::stderr(), "update {:>5}/{last}  {}", state.step, words(state));
                }
            }
        }
    }

    /// Prints a line that stays above the bar, even in a quiet run.
    pub(crate) fn warn(&self, words: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| say(words)),
            Self::Lines { .. } | Self::Quiet => say(words),
        }
    }

    /// Leaves what was shown last and makes room for results.
    pub(crate) fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}

fn words(state: &State) -> String {
    let loss = state.loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"));
    let mut text = format!("loss {loss}  {:.0}/s  {} stale", state.rate, state.stale);
    if let Some((step, (name, value))) =
        state.test.and_then(|(step, scores)| Some((step, headline(&scores)?)))
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "  test {name} {value} at {step}");
    }
    text
}
