//! A [`MonitoredSession`] run beside the model: calls, answers and stops must be the same.
//!
//! No thread is started and nothing is waited for. Invariant: session, hooks and creation draw
//! their deeds from one line, in the order in which they are called.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use proptest_state_machine::StateMachineTest;

use super::{Act, Answer, Deed, LifeModel, Lives};
use crate::{
    Coordinator, Failure, Hook, MonitoredSession, RunContext, RunError, Session, SessionError,
    StepReport,
};

/// The test of the session's life, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct LifeTest;

/// A session in the middle of a history; none when it never came to life.
#[derive(Debug)]
pub struct Run {
    session: Option<MonitoredSession<'static, Played>>,
    play: Play,
}

/// What to do next, and what was called.
#[derive(Clone, Debug, Default)]
struct Play(Arc<Mutex<(VecDeque<Deed>, Vec<String>)>>);

#[derive(Debug)]
struct Played {
    play: Play,
    step: i64,
}

struct Recorder(&'static str, Play);

impl Play {
    fn expect(&self, deeds: &[Deed]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            (deeds.iter().copied().collect(), Vec::new());
    }

    fn call(&self, name: impl Into<String>) -> Deed {
        let mut play = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        play.1.push(name.into());
        play.0.pop_front().unwrap_or(Deed::Fine)
    }

    fn called(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.push(name.to_owned());
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

fn outcome(deed: Deed) -> Result<(), RunError> {
    match deed {
        Deed::Fine => Ok(()),
        Deed::Lose => Err(RunError::recoverable("lost")),
        Deed::Fail => Err(RunError::fatal("failed")),
        Deed::Stop => Err(RunError::EndOfInput),
    }
}

impl Session for Played {
    fn run(&mut self) -> Result<StepReport, RunError> {
        outcome(self.play.call("run"))?;
        self.step += 1;
        Ok(StepReport::new(self.step))
    }

    fn global_step(&self) -> i64 {
        self.step
    }

    fn close(&mut self) {
        self.play.called("close");
    }
}

impl Recorder {
    fn called(&self, call: &str, coordinator: Option<&Coordinator>) -> Result<(), Failure> {
        match (self.1.call(format!("{}.{call}", self.0)), coordinator) {
            (Deed::Lose, _) => Err(Failure::recoverable("lost in a hook")),
            (Deed::Fail, _) => Err(Failure::fatal("failed in a hook")),
            (Deed::Stop, Some(coordinator)) => {
                coordinator.request_stop("a hook wants it");
                Ok(())
            }
            (Deed::Stop, None) | (Deed::Fine, _) => Ok(()),
        }
    }
}

impl Hook<Played> for Recorder {
    fn name(&self) -> &str {
        self.0
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.called("begin", None)
    }

    fn after_create_session(
        &mut self,
        _: &mut Played,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        self.called("after_create_session", Some(coordinator))
    }

    fn before_run(&mut self, _: &mut Played, it: &RunContext<'_>) -> Result<(), Failure> {
        self.called("before_run", Some(it.coordinator()))
    }

    fn after_run(
        &mut self,
        _: &mut Played,
        it: &RunContext<'_>,
        _: &StepReport,
    ) -> Result<(), Failure> {
        self.called("after_run", Some(it.coordinator()))
    }

    fn end(&mut self, _: &mut Played) -> Result<(), Failure> {
        self.called("end", None)
    }
}

fn words(error: &SessionError) -> String {
    match error {
        SessionError::Hook { hook, call, .. } => format!("{hook}.{call}"),
        SessionError::Create(_) => "create".to_owned(),
        SessionError::Step(_) => "step".to_owned(),
        SessionError::RecoveryLimit { recoveries, .. } => format!("limit of {recoveries}"),
        SessionError::RunAfterStop { reason } => format!("run after stop: {reason}"),
        SessionError::Closed => "closed".to_owned(),
        _ => "reported".to_owned(),
    }
}

impl StateMachineTest for LifeTest {
    type SystemUnderTest = Run;
    type Reference = Lives;

    fn init_test(model: &LifeModel) -> Run {
        let play = Play::default();
        play.expect(model.first());
        let session = MonitoredSession::builder({
            let play = play.clone();
            move |_: &Coordinator| {
                outcome(play.call("create"))?;
                Ok(Played { play: play.clone(), step: 0 })
            }
        })
        .hook(Recorder("a", play.clone()))
        .hook(Recorder("b", play.clone()))
        .max_recoveries(model.max_recoveries())
        .start();
        let answer = session.as_ref().map_or_else(|it| Answer::Error(words(it)), |_| Answer::Done);
        assert_eq!(&answer, model.answer(), "how it starts");
        assert_eq!(play.calls(), model.calls(), "the calls of the start");
        Run { session: session.ok(), play }
    }

    fn apply(mut run: Run, after: &LifeModel, act: Act) -> Run {
        let Some(session) = &mut run.session else { return run };
        let answer = match &act {
            Act::Run(deeds) => {
                run.play.expect(deeds);
                match session.run() {
                    Ok(Some(report)) => Answer::Step(report.global_step),
                    Ok(None) => Answer::End,
                    Err(error) => Answer::Error(words(&error)),
                }
            }
            Act::RequestStop => {
                run.play.expect(&[]);
                session.coordinator().request_stop("somebody wants it");
                Answer::Nothing
            }
            Act::Report { recoverable } => {
                run.play.expect(&[]);
                let make = if *recoverable { RunError::recoverable } else { RunError::fatal };
                session.coordinator().request_stop_with_error(make("reported"));
                Answer::Nothing
            }
            Act::Close(deeds) => {
                run.play.expect(deeds);
                session.close().map_or_else(|it| Answer::Error(words(&it)), |()| Answer::Done)
            }
        };
        assert_eq!(&answer, after.answer(), "the answer");
        assert_eq!(run.play.calls(), after.calls(), "the calls");
        assert_eq!(session.should_stop(), after.should_stop(), "whether the loop is over");
        run
    }

    fn teardown(run: Run, mut model: LifeModel) {
        let close = Act::Close(Vec::new());
        model.apply(&close);
        Self::apply(run, &model, close);
    }
}
