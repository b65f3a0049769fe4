//! The evaluator's last test: only then is the best checkpoint known.
//!
//! Invariant: no process waits for it for long; there may be no evaluator.

use std::time::{Duration, Instant};

use super::pauses::Pauses;
use super::process::Process;
use crate::error::Error;
use crate::run::RunOutcome;
use crate::run::folder::RunFolder;
use crate::run::folder::files::TESTS;
use crate::run::metrics::last_evaluation;

/// The time between two checks of its file.
const LOOK: Duration = Duration::from_millis(100);

/// Shorter than a launcher waits for its processes.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits until the last checkpoint of a finished training is tested, if one is kept as the best.
pub(super) fn wait(
    process: &Process,
    folder: &RunFolder,
    outcome: &RunOutcome,
) -> Result<(), Error> {
    let settings = &process.settings;
    let early = outcome.global_step < settings.length.updates && outcome.stopped_by.is_none();
    if settings.output.keep_best.is_none() || early {
        return Ok(());
    }
    let (tests, begun, pauses) =
        (folder.root().join(TESTS[1]), Instant::now(), Pauses::new(process)?);
    let last = (i64::try_from(outcome.global_step).unwrap_or(i64::MAX), outcome.generation);
    while last_evaluation(&tests).map(|test| (test.step, test.generation)) != Some(last) {
        if begun.elapsed() >= LONGEST {
            let seconds = LONGEST.as_secs();
            let step = outcome.global_step;
            tracing::warn!(
                "no evaluator tested update {step} within {seconds} s; the best may be another"
            );
            return Ok(());
        }
        if pauses.pause(LOOK) {
            return Ok(());
        }
    }
    Ok(())
}
