//! A run with the usual hooks, a background thread, and a session that is lost once.
//!
//! It computes next to nothing: the point is who is called when.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use hooks::{
    BoxError, CheckpointSaver, Coordinator, Failure, Hook, Logging, MonitoredSession, NanGuard,
    RunError, Session, SessionManager, StepReport, StopAtStep,
};

struct Training {
    step: i64,
    lost_at: Option<i64>,
}

impl Session for Training {
    fn run(&mut self) -> Result<StepReport, RunError> {
        if self.lost_at == Some(self.step) {
            return Err(RunError::recoverable("the parameter server restarted"));
        }
        self.step += 1;
        Ok(StepReport::new(self.step).with_loss(1.0 / self.step as f64))
    }

    fn global_step(&self) -> i64 {
        self.step
    }

    fn close(&mut self) {
        println!("session closed at step {}", self.step);
    }
}

/// Starts a thread with each session; the coordinator's stop ends it.
struct Background;

impl Hook<Training> for Background {
    fn after_create_session(
        &mut self,
        _: &mut Training,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        let body = |coordinator: &Coordinator| -> Result<(), BoxError> {
            coordinator.wait_for_stop(Duration::MAX);
            println!("background thread ended");
            Ok(())
        };
        coordinator.spawn("background", body).map_err(Failure::fatal)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (save, saved) = mpsc::channel();
    let mut losses = [Some(5), None].into_iter();
    let mut manager =
        SessionManager::new(move || Ok(Training { step: 0, lost_at: losses.next().flatten() }))
            .checkpoint(move |session: &mut Training| {
                let newest = saved.try_iter().last();
                session.step = newest.unwrap_or(0);
                Ok(newest)
            })
            .init(|_| Ok(()));

    let mut session = MonitoredSession::builder(|_| {
        let (session, restored) = manager.prepare_session()?;
        println!("session created, restored: {restored:?}");
        Ok(session)
    })
    .hook(Background)
    .hook(Logging::every(2).at_end().sink(|report| println!("{report:?}")))
    .hook(CheckpointSaver::every(4, move |_: &mut Training, step| Ok(save.send(step)?)))
    .hook(NanGuard::new())
    .hook(StopAtStep::last_step(8))
    .start()?;

    let last = session.run_until_stopped()?;
    println!("last step: {:?}", last.map(|report| report.global_step));
    Ok(())
}
