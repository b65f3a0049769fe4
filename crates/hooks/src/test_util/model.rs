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
    /// Somebody asks for a stop.
    RequestStop,
    /// Somebody reports an error: whether it only says that the session is lost.
    Report {
        /// Whether a new session mends it.
        recoverable: bool,
    },
    /// Close, with what its calls do.
    Close(Vec<Deed>),
}

/// What an act answers; errors by their kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// A step was done, or the close went well.
    Done,
    /// The run came to its clean end.
    End,
    /// This kind of error.
    Error(&'static str),
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
    Fatal(&'static str),
}

/// A monitored session with the hooks `a` and `b`, as far as anyone can see.
#[derive(Clone, Debug)]
pub struct LifeModel {
    max_recoveries: u32,
    first: Vec<Deed>,
    phase: Phase,
    stop: bool,
    /// The error kept, and whether it only says that the session is lost.
    failure: Option<(&'static str, bool)>,
    losses: u32,
    session: bool,
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
            stop: false,
            failure: None,
            losses: 0,
            session: false,
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
                self.stop = true;
                Answer::Nothing
            }
            Act::Report { recoverable } => {
                self.report("reported", *recoverable);
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

    fn is_ending(&self) -> bool {
        self.stop || self.failure.is_some_and(|(_, recoverable)| !recoverable)
    }

    /// the first real error wins, also over a loss.
    fn report(&mut self, kind: &'static str, recoverable: bool) {
        let kept = self.failure.is_some_and(|(_, kept)| !kept || recoverable);
        if !kept && self.phase != Phase::Closed {
            self.failure = Some((kind, recoverable));
        }
    }

    fn call(&mut self, name: impl Into<String>) -> Deed {
        self.calls.push(name.into());
        self.deeds.pop_front().unwrap_or(Deed::Fine)
    }

    fn hooks(&mut self, call: &str) -> Result<(), Failure> {
        for hook in ["a", "b"] {
            match self.call(format!("{hook}.{call}")) {
                Deed::Fine => {}
                Deed::Stop => self.stop = true,
                Deed::Lose => return Err(Failure::Lost),
                Deed::Fail => return Err(Failure::Fatal("hook")),
            }
        }
        Ok(())
    }

    /// `begin` and `end` can neither stop the run nor lose a session.
    fn bound(deed: Deed) -> bool {
        matches!(deed, Deed::Lose | Deed::Fail)
    }

    fn start(&mut self) -> Answer {
        let failed = ["a", "b"].iter().any(|hook| Self::bound(self.call(format!("{hook}.begin"))));
        let started = if failed { Err("hook") } else { self.establish() };
        match started {
            Ok(true) => self.note_stop(),
            Ok(false) => self.phase = Phase::Ended,
            Err(kind) => {
                self.fail(kind);
                return self.close();
            }
        }
        Answer::Done
    }

    fn run(&mut self) -> Answer {
        match self.phase {
            Phase::Open => {}
            Phase::Closed => return Answer::Error("closed"),
            Phase::Ended | Phase::Failed => return Answer::Error("run after stop"),
        }
        match self.until_done() {
            Ok(true) => {
                self.note_stop();
                Answer::Done
            }
            Ok(false) => {
                (self.phase, self.stop) = (Phase::Ended, true);
                Answer::End
            }
            Err(kind) => {
                self.fail(kind);
                Answer::Error(kind)
            }
        }
    }

    fn until_done(&mut self) -> Result<bool, &'static str> {
        loop {
            let outcome = if self.interrupted() { Err(Failure::Lost) } else { self.step() };
            match outcome {
                Ok(()) => {
                    self.losses = 0;
                    return Ok(true);
                }
                Err(_) if self.interrupted() => {}
                Err(Failure::Lost) => {}
                Err(Failure::Clean) => return Ok(false),
                Err(Failure::Fatal(kind)) => return Err(kind),
            }
            if self.is_ending() {
                return Ok(false);
            }
            self.lose()?;
            if !self.establish()? || self.is_ending() {
                return Ok(false);
            }
        }
    }

    fn interrupted(&self) -> bool {
        !self.stop && self.failure.is_some_and(|(_, recoverable)| recoverable)
    }

    fn step(&mut self) -> Result<(), Failure> {
        if !self.session {
            return Err(Failure::Clean);
        }
        self.hooks("before_run")?;
        match self.call("run") {
            Deed::Fine => self.hooks("after_run"),
            Deed::Lose => Err(Failure::Lost),
            Deed::Fail => Err(Failure::Fatal("step")),
            Deed::Stop => Err(Failure::Clean),
        }
    }

    fn establish(&mut self) -> Result<bool, &'static str> {
        loop {
            let created = match self.call("create") {
                Deed::Fine => {
                    self.session = true;
                    self.hooks("after_create_session")
                }
                Deed::Lose => Err(Failure::Lost),
                Deed::Fail => Err(Failure::Fatal("create")),
                Deed::Stop => Err(Failure::Clean),
            };
            match created {
                Ok(()) => return Ok(true),
                Err(Failure::Clean) => return Ok(false),
                Err(Failure::Fatal(kind)) => return Err(kind),
                Err(Failure::Lost) if self.is_ending() => return Ok(false),
                Err(Failure::Lost) => self.lose()?,
            }
        }
    }

    fn lose(&mut self) -> Result<(), &'static str> {
        if self.losses == self.max_recoveries {
            return Err("limit");
        }
        self.losses += 1;
        if std::mem::take(&mut self.session) {
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
        if self.phase != Phase::Failed && self.session {
            for hook in ["a", "b"] {
                if Self::bound(self.call(format!("{hook}.end"))) {
                    self.report("hook", false);
                }
            }
        }
        (self.phase, self.stop) = (Phase::Closed, true);
        if self.session {
            self.calls.push("close".to_owned());
        }
        match self.failure {
            Some((kind, false)) => Answer::Error(kind),
            _ => Answer::Done,
        }
    }

    fn note_stop(&mut self) {
        if self.stop {
            self.phase = Phase::Ended;
        }
    }

    fn fail(&mut self, kind: &'static str) {
        self.phase = Phase::Failed;
        self.report(kind, false);
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
