//! The reference model: the life of a session with two hooks, in its plainest form.
//!
//! One machine, no threads, no trait objects. Invariant: `end` is called only if nothing failed.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

/// What one call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It goes well.
    Fine,
    /// The session is lost.
    Lose,
    /// A real error.
    Fail,
    /// A hook asks for a stop; a step has no more input; a creation gives way to a stop.
    Stop,
}

/// One thing done to a monitored session.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Run a step, with what its calls do in their order; the rest go well.
    Run(Vec<Deed>),
    /// Ask for a stop.
    RequestStop,
    /// Report an error: whether it only says that the session is lost.
    Report {
        /// Whether a new session mends it.
        recoverable: bool,
    },
    /// Close, with what its calls do.
    Close(Vec<Deed>),
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// The close went well, or the start.
    Done,
    /// The step was done with which the session has this global step.
    Step(i64),
    /// The run came to its clean end.
    End,
    /// An error: its kind, or the hook and the call that failed.
    Error(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Open,
    Ended,
    Failed,
    Closed,
}

enum Failure {
    Clean,
    Lost,
    Fatal(String),
}

/// A monitored session with the hooks `a` and `b`, as far as anyone can see.
#[derive(Clone, Debug)]
pub struct LifeModel {
    max_recoveries: u32,
    first: Vec<Deed>,
    phase: Phase,
    /// The first reason for a stop.
    stop: Option<&'static str>,
    /// The error kept, and whether it only says that the session is lost.
    failure: Option<(String, bool)>,
    losses: u32,
    /// The session's global step.
    session: Option<i64>,
    deeds: VecDeque<Deed>,
    calls: Vec<String>,
    answer: Answer,
}

impl LifeModel {
    /// A life from its start, whose calls do these deeds.
    pub fn new(max_recoveries: u32, first: &[Deed]) -> Self {
        let mut life = Self {
            max_recoveries,
            first: first.to_vec(),
            phase: Phase::Open,
            stop: None,
            failure: None,
            losses: 0,
            session: None,
            deeds: first.iter().copied().collect(),
            calls: Vec::new(),
            answer: Answer::Nothing,
        };
        life.answer = life.start();
        life
    }

    /// Does one act; see [`calls`](Self::calls) and [`answer`](Self::answer) for what it must do.
    pub fn apply(&mut self, act: &Act) {
        self.calls.clear();
        self.deeds.clear();
        self.answer = match act {
            Act::Run(deeds) => {
                self.deeds.extend(deeds);
                self.run()
            }
            Act::RequestStop => {
                self.request_stop("somebody wants it");
                Answer::Nothing
            }
            Act::Report { recoverable } => {
                self.report("reported".to_owned(), *recoverable);
                Answer::Nothing
            }
            Act::Close(deeds) => {
                self.deeds.extend(deeds);
                self.close()
            }
        };
    }

    /// The calls that the last act must have made, in order.
    pub fn calls(&self) -> &[String] {
        &self.calls
    }

    /// What the last act must answer.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Whether the loop around the steps is over.
    pub fn should_stop(&self) -> bool {
        self.phase != Phase::Open || self.is_ending()
    }

    /// How many losses without a step between them are mended.
    pub fn max_recoveries(&self) -> u32 {
        self.max_recoveries
    }

    /// What the calls of the start do.
    pub fn first(&self) -> &[Deed] {
        &self.first
    }

    fn request_stop(&mut self, reason: &'static str) {
        self.stop.get_or_insert(reason);
    }

    fn is_ending(&self) -> bool {
        self.stop.is_some() || self.failure.as_ref().is_some_and(|(_, recoverable)| !recoverable)
    }

    /// the first real error wins, also over a loss.
    fn report(&mut self, error: String, recoverable: bool) {
        let kept = self.failure.as_ref().is_some_and(|(_, kept)| !kept || recoverable);
        if !kept && self.phase != Phase::Closed {
            self.failure = Some((error, recoverable));
        }
    }

    fn call(&mut self, name: impl Into<String>) -> Deed {
        self.calls.push(name.into());
        self.deeds.pop_front().unwrap_or(Deed::Fine)
    }

    fn hooks(&mut self, call: &str) -> Result<(), Failure> {
        for hook in ["a", "b"] {
            let name = format!("{hook}.{call}");
            match self.call(name.clone()) {
                Deed::Fine => {}
                Deed::Stop => self.request_stop("a hook wants it"),
                Deed::Lose => return Err(Failure::Lost),
                Deed::Fail => return Err(Failure::Fatal(name)),
            }
        }
        Ok(())
    }

    /// `begin` and `end` can neither stop the run nor lose a session.
    fn bound(deed: Deed) -> bool {
        matches!(deed, Deed::Lose | Deed::Fail)
    }

    fn start(&mut self) -> Answer {
        let begins = ["a.begin", "b.begin"];
        let failed = begins.into_iter().find(|begin| Self::bound(self.call(*begin)));
        let started = failed.map_or_else(|| self.establish(), |begin| Err(begin.to_owned()));
        match started {
            Ok(true) => self.note_stop(),
            Ok(false) => self.phase = Phase::Ended,
            Err(error) => {
                self.fail(error);
                return self.close();
            }
        }
        Answer::Done
    }

    fn run(&mut self) -> Answer {
        match self.phase {
            Phase::Open => {}
            Phase::Closed => return Answer::Error("closed".to_owned()),
            Phase::Ended | Phase::Failed => {
                let reason = self.stop.unwrap_or("an earlier step failed");
                return Answer::Error(format!("run after stop: {reason}"));
            }
        }
        match self.until_done() {
            Ok(Some(step)) => {
                self.note_stop();
                Answer::Step(step)
            }
            Ok(None) => {
                self.phase = Phase::Ended;
                self.request_stop("the run came to its end");
                Answer::End
            }
            Err(error) => {
                self.fail(error.clone());
                Answer::Error(error)
            }
        }
    }

    fn until_done(&mut self) -> Result<Option<i64>, String> {
        loop {
            let outcome = if self.interrupted() { Err(Failure::Lost) } else { self.step() };
            match outcome {
                Ok(step) => {
                    self.losses = 0;
                    return Ok(Some(step));
                }
                Err(_) if self.interrupted() => {}
                Err(Failure::Lost) => {}
                Err(Failure::Clean) => return Ok(None),
                Err(Failure::Fatal(error)) => return Err(error),
            }
            if self.is_ending() {
                return Ok(None);
            }
            self.lose()?;
            if !self.establish()? || self.is_ending() {
                return Ok(None);
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.is_none() && self.failure.as_ref().is_some_and(|(_, recoverable)| *recoverable)
    }

    fn step(&mut self) -> Result<i64, Failure> {
        let Some(step) = self.session else { return Err(Failure::Clean) };
        self.hooks("before_run")?;
        match self.call("run") {
            Deed::Fine => {}
            Deed::Lose => return Err(Failure::Lost),
            Deed::Fail => return Err(Failure::Fatal("step".to_owned())),
            Deed::Stop => return Err(Failure::Clean),
        }
        self.session = Some(step + 1);
        self.hooks("after_run")?;
        Ok(step + 1)
    }

    fn establish(&mut self) -> Result<bool, String> {
        loop {
            let created = match self.call("create") {
                Deed::Fine => {
                    self.session = Some(0);
                    self.hooks("after_create_session")
                }
                Deed::Lose => Err(Failure::Lost),
                Deed::Fail => Err(Failure::Fatal("create".to_owned())),
                Deed::Stop => Err(Failure::Clean),
            };
            match created {
                Ok(()) => return Ok(true),
                Err(Failure::Clean) => return Ok(false),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Lost) if self.is_ending() => return Ok(false),
                Err(Failure::Lost) => self.lose()?,
            }
        }
    }

    fn lose(&mut self) -> Result<(), String> {
        if self.losses == self.max_recoveries {
            return Err(format!("limit of {}", self.losses));
        }
        self.losses += 1;
        if self.session.take().is_some() {
            self.calls.push("close".to_owned());
        }
        if self.interrupted() {
            self.failure = None;
        }
        Ok(())
    }

    fn close(&mut self) -> Answer {
        if self.phase == Phase::Closed {
            return Answer::Done;
        }
        if self.phase != Phase::Failed && self.session.is_some() {
            for end in ["a.end", "b.end"] {
                if Self::bound(self.call(end)) {
                    self.report(end.to_owned(), false);
                }
            }
        }
        self.phase = Phase::Closed;
        self.request_stop("the session was closed");
        if self.session.is_some() {
            self.calls.push("close".to_owned());
        }
        match &self.failure {
            Some((error, false)) => Answer::Error(error.clone()),
            _ => Answer::Done,
        }
    }

    fn note_stop(&mut self) {
        if self.stop.is_some() {
            self.phase = Phase::Ended;
        }
    }

    fn fail(&mut self, error: String) {
        self.phase = Phase::Failed;
        self.report(error, false);
    }
}

/// Histories of any life.
#[derive(Debug)]
pub struct Lives;

impl ReferenceStateMachine for Lives {
    type State = LifeModel;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<LifeModel> {
        (0_u32..5, deeds()).prop_map(|(max, first)| LifeModel::new(max, &first)).boxed()
    }

    fn transitions(_: &LifeModel) -> BoxedStrategy<Act> {
        let seldom = prop_oneof![
            20 => Just(Act::Run(Vec::new())),
            1 => Just(Act::RequestStop),
            2 => prop::bool::weighted(0.8).prop_map(|recoverable| Act::Report { recoverable }),
            1 => deeds().prop_map(Act::Close),
        ];
        prop_oneof![4 => deeds().prop_map(Act::Run), 1 => seldom].boxed()
    }

    fn apply(mut life: LifeModel, act: &Act) -> LifeModel {
        life.apply(act);
        life
    }
}

/// Mostly no misdeed; else a loss more often than what ends a life.
fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        120 => Just(Deed::Fine),
        6 => Just(Deed::Lose),
        1 => Just(Deed::Fail),
        1 => Just(Deed::Stop),
    ];
    prop::collection::vec(deed, 0..14)
}
