//! A session that follows a script, a hook that writes down its calls, and the log they share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hooks::{Coordinator, Failure, Hook, HookCall, RunContext, RunError, Session, StepReport};

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn push(&self, entry: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry.into());
    }

    pub fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn text(&self) -> String {
        self.entries().join(" ")
    }
}

/// A session that does what its script says, letter by letter, and then reports end of input.
///
/// `s` step, `n` step with a NaN loss, `e` end of input, `t` gives way to a stop, `l` lost, `x`
/// fails.
pub struct Scripted {
    script: VecDeque<char>,
    pub step: i64,
    log: Log,
}

impl Scripted {
    pub fn new(script: &str, log: &Log) -> Self {
        Self { script: script.chars().collect(), step: 0, log: log.clone() }
    }

    pub fn at(mut self, step: i64) -> Self {
        self.step = step;
        self
    }
}

impl Session for Scripted {
    fn run(&mut self) -> Result<StepReport, RunError> {
        self.log.push("run");
        let loss = match self.script.pop_front() {
            Some('s') => 1.0,
            Some('n') => f64::NAN,
            Some('i') => f64::INFINITY,
            Some('t') => return Err(RunError::Stopped),
            Some('l') => return Err(RunError::recoverable("lost")),
            Some('x') => return Err(RunError::fatal("failed")),
            _ => return Err(RunError::EndOfInput),
        };
        self.step += 1;
        Ok(StepReport::new(self.step).with_loss(loss))
    }

    fn global_step(&self) -> i64 {
        self.step
    }

    fn close(&mut self) {
        self.log.push("close");
    }
}

/// Makes the scripted sessions one after the other; running out of them is a failure.
pub fn scripts<'a>(
    scripts: &'a [&'a str],
    log: &'a Log,
) -> impl FnMut(&Coordinator) -> Result<Scripted, RunError> + Send + 'a {
    let mut left = scripts.iter();
    move |_| {
        log.push("create");
        match left.next() {
            // A script that opens with '!' is lost, with '?' fails, before it exists.
            Some(script) if script.starts_with('!') => Err(RunError::recoverable("no answer")),
            Some(script) if script.starts_with('?') => Err(RunError::fatal("no such session")),
            Some(script) => Ok(Scripted::new(script, log)),
            None => Err(RunError::fatal("out of sessions")),
        }
    }
}

/// What a [`Trace`] hook does in one of its calls besides writing it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Fail,
    Lose,
    Stop,
}

/// A hook that writes down its calls, each with its name before it.
pub struct Trace {
    pub name: &'static str,
    pub log: Log,
    /// In which call, at which time it comes (from 1), what is done.
    pub deed: Option<(HookCall, usize, Deed)>,
    calls: [usize; 5],
}

impl Trace {
    pub fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), deed: None, calls: [0; 5] }
    }

    pub fn doing(mut self, call: HookCall, time: usize, deed: Deed) -> Self {
        self.deed = Some((call, time, deed));
        self
    }

    fn called(&mut self, call: HookCall, coordinator: Option<&Coordinator>) -> Result<(), Failure> {
        self.log.push(format!("{}.{call}", self.name));
        let count = &mut self.calls[call as usize];
        *count += 1;
        match self.deed {
            Some((when, time, deed)) if when == call && time == *count => match deed {
                Deed::Fail => Err(Failure::fatal("failed")),
                Deed::Lose => Err(Failure::recoverable("lost in a hook")),
                Deed::Stop => {
                    if let Some(coordinator) = coordinator {
                        coordinator.request_stop(format!("{} in {call}", self.name));
                    }
                    Ok(())
                }
            },
            _ => Ok(()),
        }
    }
}

impl<S: Session + ?Sized> Hook<S> for Trace {
    fn name(&self) -> &str {
        self.name
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.called(HookCall::Begin, None)
    }

    fn after_create_session(
        &mut self,
        _: &mut S,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        self.called(HookCall::AfterCreateSession, Some(coordinator))
    }

    fn before_run(&mut self, _: &mut S, context: &RunContext<'_>) -> Result<(), Failure> {
        self.called(HookCall::BeforeRun, Some(context.coordinator()))
    }

    fn after_run(
        &mut self,
        _: &mut S,
        context: &RunContext<'_>,
        _: &StepReport,
    ) -> Result<(), Failure> {
        self.called(HookCall::AfterRun, Some(context.coordinator()))
    }

    fn end(&mut self, _: &mut S) -> Result<(), Failure> {
        self.called(HookCall::End, None)
    }
}
