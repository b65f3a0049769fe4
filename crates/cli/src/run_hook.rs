//! The program's own hook: it records each update, tests the model now and then, and shows both.
//!
//! It changes nothing about the training, save that it passes on a wish to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use digits::data::Digits;
use digits::models::{Classifier, accuracy};
use hooks::{Coordinator, Hook, HookError, RunContext, StepReport};
use sync_replicas::{BoxError, ChiefSession};

use crate::interrupt::{Interrupt, REASON};
use crate::metrics::{Metrics, Update};
use crate::progress::{Progress, State};

/// What the hook writes, and what it keeps for the page at the end.
pub(crate) struct RunLog {
    pub(crate) metrics: Metrics,
    pub(crate) updates: Vec<Update>,
}

pub(crate) fn lock(log: &Mutex<RunLog>) -> MutexGuard<'_, RunLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct RunHook {
    pub(crate) classifier: Arc<dyn Classifier>,
    pub(crate) digits: Arc<Digits>,
    pub(crate) interrupt: Interrupt,
    pub(crate) log: Arc<Mutex<RunLog>>,
    pub(crate) progress: Progress,
    /// When training began: the timeline has the same zero.
    pub(crate) begun: Instant,
    /// The model is tested every so many updates.
    pub(crate) eval_every: u64,
    /// Of the update that was tested last.
    pub(crate) accuracy: Option<(i64, f64)>,
}

impl Hook<ChiefSession<f32>> for RunHook {
    fn name(&self) -> &str {
        "record of the run"
    }

    fn after_create_session(
        &mut self,
        _: &mut ChiefSession<f32>,
        coordinator: &Coordinator,
    ) -> Result<(), HookError> {
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
    ) -> Result<(), HookError> {
        if self.interrupt.requested() {
            context.request_stop(REASON);
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let step = report.global_step.unsigned_abs();
        let mut update = Update {
            step: report.global_step,
            loss: report.loss,
            seconds,
            examples: report.scalar("examples").unwrap_or_default() as u64,
            test_accuracy: None,
            averages_test_accuracy: None,
        };
        if step.is_multiple_of(self.eval_every) || step == 1 {
            self.test(session, &mut update)?;
        }
        let mut log = lock(&self.log);
        if let Some(back) = log.metrics.write_update(&update).map_err(failed)? {
            log.updates.retain(|update| update.step <= back);
        }
        log.updates.push(update);
        let rate = log.updates.len() as f64 / seconds.max(1e-9);
        let stale = session.totals().stale;
        self.progress.update(&State {
            step,
            loss: report.loss,
            rate,
            stale,
            accuracy: self.accuracy,
        });
        Ok(())
    }

    fn end(&mut self, _: &mut ChiefSession<f32>) -> Result<(), HookError> {
        self.progress.finish();
        Ok(())
    }
}

impl RunHook {
    fn test(&mut self, session: &ChiefSession<f32>, update: &mut Update) -> Result<(), HookError> {
        let classifier = &*self.classifier;
        let of = |variables: &_| accuracy(classifier, variables, &self.digits.test).map_err(failed);
        update.test_accuracy = Some(of(&session.snapshot().variables)?);
        update.averages_test_accuracy = session.averages().as_ref().map(of).transpose()?;
        self.accuracy = update.test_accuracy.map(|accuracy| (update.step, accuracy));
        Ok(())
    }
}

fn failed(error: impl Into<BoxError>) -> HookError {
    HookError::failed(error)
}
