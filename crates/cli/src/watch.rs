//! The program's own hook: it records each update, tests the model now and then, and shows both.
//!
//! It changes nothing about the training, save that it passes on a wish to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hooks::{Coordinator, Hook, HookError, RunContext, StepReport};
use sync_replicas::{BoxError, ChiefSession};

use crate::interrupt::{Interrupt, REASON};
use crate::metrics::{Metrics, Update};
use crate::progress::{Progress, State};
use digits::data::Digits;
use digits::models::{Classifier, accuracy};

/// The model is tested about so many times in a run.
const TESTS: u64 = 25;

/// What is kept of the updates, for the page at the end.
pub(crate) type Updates = Arc<Mutex<Vec<Update>>>;

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Watch {
    pub(crate) classifier: Arc<dyn Classifier>,
    pub(crate) digits: Arc<Digits>,
    pub(crate) interrupt: Interrupt,
    pub(crate) metrics: Arc<Mutex<Metrics>>,
    pub(crate) updates: Updates,
    pub(crate) progress: Progress,
    /// When training began: the timeline has the same zero.
    pub(crate) begun: Instant,
    pub(crate) last_step: u64,
    pub(crate) accuracy: Option<f64>,
}

impl Hook<ChiefSession<f32>> for Watch {
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
        let every = (self.last_step / TESTS).max(1);
        if step.is_multiple_of(every) || step == 1 {
            self.test(session, &mut update)?;
        }
        lock(&self.metrics).write("update", &update).map_err(failed)?;
        let mut updates = lock(&self.updates);
        updates.push(update);
        let rate = updates.len() as f64 / seconds.max(1e-9);
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

impl Watch {
    fn test(&mut self, session: &ChiefSession<f32>, update: &mut Update) -> Result<(), HookError> {
        let classifier = &*self.classifier;
        let of = |variables: &_| accuracy(classifier, variables, &self.digits.test).map_err(failed);
        update.test_accuracy = Some(of(&session.snapshot().variables)?);
        update.averages_test_accuracy = session.averages().as_ref().map(of).transpose()?;
        self.accuracy = update.test_accuracy;
        Ok(())
    }
}

fn failed(error: impl Into<BoxError>) -> HookError {
    HookError::failed(error)
}
