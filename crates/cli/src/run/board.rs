//! `--tensorboard`: what a run's folder shows in TensorBoard, fed like the metrics.
//!
//! It chooses; the tracker decides how files look. Invariants: a failed write ends no training, and
//! the files grow with the logarithm of a run's length, except for tests.

mod interval;

use std::path::Path;
use std::time::{Duration, SystemTime};

use hooks::{At, BoxError, Param, TensorBoard, Tracker};
use serde::Serialize;
use serde_json::Value;
use sync_replicas::driver::create_private_folder;
use sync_replicas::record::Span;

use self::interval::Interval;
use crate::error::Error;
use crate::run::metrics::{Evaluation, Run, Update};
use crate::run::summary::Summary;

/// After this many losses only every other one is shown.
const MANY: u32 = 20_000;

/// A run's tracker, and what it needs to know between two calls.
pub(crate) struct Board {
    tracker: Box<dyn Tracker>,
    interval: Interval,
    /// The wall-clock time when training began.
    begun: Option<SystemTime>,
    /// The last update that this process reported.
    step: Option<i64>,
    tested: Option<i64>,
    /// Losses of every so many updates are shown; how many were shown at this rate.
    every: (i64, u32),
    /// Whether a failed write was reported.
    warned: bool,
}

impl Board {
    /// Begins a file in a folder of the run.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let made = create_private_folder(folder).and_then(|()| TensorBoard::create(folder));
        let tracker = made.map_err(|error| {
            Error::failed(format!("writing into {} failed: {error}", folder.display()))
        })?;
        Ok(Self::of(tracker))
    }

    fn of(tracker: impl Tracker + 'static) -> Self {
        Self {
            tracker: Box::new(tracker),
            interval: Interval::default(),
            begun: None,
            step: None,
            tested: None,
            every: (1, 0),
            warned: false,
        }
    }

    /// The run's start: its settings are hyper-parameters.
    pub(crate) fn run(&mut self, run: &Run) {
        let settings = run.settings.clone().into_entries();
        let settings: Vec<_> = settings.map(|(name, value)| (name, Setting::of(value))).collect();
        let params: Vec<_> = settings.iter().map(|(name, it)| (&**name, it.param())).collect();
        let Run { version, command, host, started, run: id, .. } = run;
        let command = command.join(" ");
        let words = format!("`{command}`\n\nrun {id}, started {started} on {host}, by {version}");
        let done = self.tracker.params(&params);
        self.look(done);
        let done = self.tracker.text(At::now(0), "run", &words);
        self.look(done);
    }

    /// An update, with its test's results.
    pub(crate) fn update(&mut self, update: &Update) {
        let taken_back = self.is_made_again(update.step);
        let seconds = Duration::from_secs_f64(update.seconds.max(0.0));
        if taken_back || self.begun.is_none() {
            self.begun = SystemTime::now().checked_sub(seconds);
        }
        let time = self.begun.and_then(|begun| begun.checked_add(seconds));
        let at = At { step: update.step, time: time.unwrap_or_else(SystemTime::now) };
        if let Some(loss) = update.loss.filter(|_| self.shows(update.step)) {
            self.scalars(at, &[("loss", loss)]);
        }
        let scores = numbers(&update.scores);
        self.tests(at, scores, update.averages_test_accuracy);
        if self.interval.update(update) {
            self.interval_ends(at);
        }
    }

    /// What replicas did.
    pub(crate) fn spans(&mut self, spans: &[Span]) {
        spans.iter().for_each(|span| self.interval.span(span));
    }

    /// A test of an update that another process made.
    pub(crate) fn test(&mut self, test: &Evaluation) {
        self.is_made_again(test.step);
        self.tests(At::now(test.step), numbers(&test.scores), test.averages_test_accuracy);
    }

    /// The result of training.
    pub(crate) fn result(&mut self, summary: &Summary) {
        let last = i64::try_from(summary.updates).unwrap_or(i64::MAX);
        // A start after the end makes nothing, and tells nothing.
        if self.step == Some(last) {
            self.interval_ends(At::now(last));
            if self.tested != Some(last) {
                let scores = numbers(&summary.scores);
                self.tests(At::now(last), scores, summary.averages_test_accuracy);
            }
        }
        let done = self.tracker.finish();
        self.look(done);
    }

    /// Hands over what was kept.
    pub(crate) fn flush(&mut self) {
        let done = self.tracker.flush();
        self.look(done);
    }

    /// Notes a step, and takes back the reports of it and of later ones: by this process, or by an
    /// earlier one that made more updates than it saved.
    fn is_made_again(&mut self, step: i64) -> bool {
        let again = self.step.is_none_or(|last| step <= last);
        if again {
            let done = self.tracker.restored(step.saturating_sub(1));
            self.look(done);
        }
        self.step = Some(step);
        again
    }

    fn shows(&mut self, step: i64) -> bool {
        let (every, shown) = &mut self.every;
        if *shown >= MANY {
            (*every, *shown) = (every.saturating_mul(2), 0);
        }
        let shows = step % *every == 0;
        *shown += u32::from(shows);
        shows
    }

    fn tests(&mut self, at: At, scores: Vec<(String, f64)>, averages: Option<f64>) {
        let scores = scores.iter().map(|(name, value)| (&**name, *value));
        let averages = averages.map(|accuracy| ("averages_test_accuracy", accuracy));
        let scalars: Vec<_> = scores.chain(averages).collect();
        if !scalars.is_empty() {
            self.tested = Some(at.step);
            self.scalars(at, &scalars);
        }
    }

    fn interval_ends(&mut self, at: At) {
        let Some(told) = self.interval.take() else { return };
        self.scalars(at, &told.scalars);
        for (name, seconds) in &told.compute_seconds {
            let done = self.tracker.histogram(at, name, seconds);
            self.look(done);
        }
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) {
        let done = self.tracker.scalars(at, scalars);
        self.look(done);
    }

    fn look(&mut self, done: Result<(), BoxError>) {
        if let Err(error) = done
            && !self.warned
        {
            self.warned = true;
            tracing::error!(%error, "not all of the run is shown in TensorBoard; it goes on");
        }
    }
}

/// A setting as a hyper-parameter.
enum Setting {
    Number(f64),
    Flag(bool),
    Text(String),
}

impl Setting {
    fn of(value: Value) -> Self {
        match value {
            Value::Bool(flag) => Self::Flag(flag),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(text),
            Value::Array(all) => {
                let words = all.iter().map(|it| it.as_str().map_or(it.to_string(), str::to_owned));
                Self::Text(words.collect::<Vec<_>>().join(", "))
            }
            other => Self::Text(other.to_string()),
        }
    }

    fn param(&self) -> Param<'_> {
        match self {
            Self::Number(number) => Param::Number(*number),
            Self::Flag(flag) => Param::Flag(*flag),
            Self::Text(text) => Param::Text(text),
        }
    }
}

/// The numbers in plain data, by name.
fn numbers(value: &impl Serialize) -> Vec<(String, f64)> {
    let Ok(Value::Object(entries)) = serde_json::to_value(value) else { return Vec::new() };
    entries.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()
}

#[cfg(test)]
mod tests;
