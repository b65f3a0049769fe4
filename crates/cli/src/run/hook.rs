//! The program's own hook: it records each update, tests the model now and then, and shows both.
//!
//! It changes nothing about the training, except that it passes on a request to stop.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use hooks::{Coordinator, Failure, Hook, RunContext, StepReport};
use sync_replicas::record::FailedSave;
use sync_replicas::{BoxError, ChiefSession, SaveHandle};
use tabular::scores::Scores;

use crate::lock::lock;
use crate::run::best::Best;
use crate::run::early_stop::EarlyStop;
use crate::run::log::RunLog;
use crate::run::metrics::Evaluation;
use crate::run::progress::{Progress, State};
use crate::run::tester::Tester;
use crate::system::interrupt::{Interrupt, REASON};

pub(crate) struct RunHook {
    pub(crate) tester: Tester,
    pub(crate) interrupt: Interrupt,
    pub(crate) log: Arc<Mutex<RunLog>>,
    pub(crate) progress: Progress,
    /// When training began, and from which update on: for the rate.
    pub(crate) begun: (Instant, u64),
    /// Checkpoints are so many updates apart.
    pub(crate) save_every: u64,
    /// The model is tested every so many updates.
    pub(crate) eval_every: u64,
    /// Of the update that was tested last.
    pub(crate) tested: Option<(i64, Scores)>,
    /// What ends training early, if anything.
    pub(crate) stop: Option<EarlyStop>,
    /// What keeps the best checkpoint, if this process writes them.
    pub(crate) best: Option<(Best, SaveHandle<f32>)>,
}

impl Hook<ChiefSession<f32>> for RunHook {
    fn name(&self) -> &str {
        "record of the run"
    }

    fn after_create_session(
        &mut self,
        _: &mut ChiefSession<f32>,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        if self.interrupt.requested() {
            coordinator.request_stop(REASON);
        }
        Ok(())
    }

    fn after_run(
        &mut self,
        session: &mut ChiefSession<f32>,
        context: &RunContext<'_>,
        report: &StepReport,
    ) -> Result<(), Failure> {
        if self.interrupt.requested() {
            context.request_stop(REASON);
        }
        let step = report.global_step.unsigned_abs();
        let test = step.is_multiple_of(self.eval_every) || step == 1;
        let test = match test {
            true => self.tester.test(session, report.global_step).map_err(failed)?,
            false => None,
        };
        if let Some(test) = &test {
            self.tested = Some((test.step, test.scores));
            if let Some((best, training)) = &mut self.best
                && let Err(error) = best.take(test, report.loss, |path| training.save(path, 1))
            {
                self.progress.warn(&error.to_string());
            }
            if let Some(reason) = self.reason_to_stop(test, report.loss) {
                context.request_stop(reason);
            }
        }
        {
            let mut log = lock(&self.log);
            test.into_iter().for_each(|test| log.tested(test));
            let lost = log.follow();
            // Before a checkpoint is written: were this process killed, the run would go on from
            // it, and never make again what is in no line.
            log.hand_over(step.saturating_sub(self.begun.1).is_multiple_of(self.save_every));
            if log.only_tests() {
                // In one process the training itself has said so.
                lost.iter().for_each(|lost| self.progress.warn(&words(lost)));
            }
        }
        let (begun, first) = self.begun;
        let rate = step.saturating_sub(first) as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        self.progress.update(&State {
            step,
            loss: report.loss,
            rate,
            stale: session.totals().stale,
            test: self.tested,
        });
        Ok(())
    }

    fn end(&mut self, _: &mut ChiefSession<f32>) -> Result<(), Failure> {
        self.progress.finish();
        Ok(())
    }
}

impl RunHook {
    fn reason_to_stop(&mut self, test: &Evaluation, loss: Option<f64>) -> Option<String> {
        let stop = self.stop.as_mut()?;
        let value = test.value(stop.rule().metric(), loss)?;
        stop.tested(test.step, value)
    }
}

fn words(lost: &FailedSave) -> String {
    let FailedSave { step, reason } = lost;
    format!("update {step}: no checkpoint was written; training goes on: {reason}")
}

fn failed(error: impl Into<BoxError>) -> Failure {
    Failure::fatal(error)
}
