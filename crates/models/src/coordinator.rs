//! The reference model of a coordinator: stops, the error that is kept, and joins.
//!
//! Threads are registered and end; none is started, and a join has no time. Invariant: the first
//! real error stays.

mod against;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

pub use against::CoordinatorTest;

/// What a thread tells a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The input has ended, which is a plain stop.
    Clean,
    /// The session is lost; the number tells one loss from another.
    Lost(u8),
    /// A real error of this number.
    Failed(u8),
}

/// One thing done to a coordinator; threads and callbacks are meant by a place among those left.
#[derive(Clone, Debug)]
pub enum CoordinatorAct {
    /// A thread asks for a stop, for a reason of this number.
    RequestStop(u8),
    /// A thread reports an error.
    Report(Told),
    /// A thread registers.
    Register,
    /// A thread ends, perhaps with an error.
    End(usize, Option<Told>),
    /// Call a callback at a stop.
    OnStop,
    /// A callback is taken out.
    TakeOut(usize),
    /// Join with no grace, where that does not wait for ever; whether threads may be left.
    Join {
        /// Whether threads that still run are no error.
        leaving: bool,
    },
}

/// What an act answers; errors are in the words that tell one from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    #[default]
    Nothing,
    /// The error reported is the first, and kept.
    First,
    /// A plain stop was reported.
    Clean,
    /// Another error is kept, so this one comes back.
    Late(String),
    /// All have joined, so this error comes back.
    AfterJoin(String),
    /// A join found no thread.
    Joined,
    /// A join left these threads running.
    Left(Vec<String>),
    /// A join gives the error kept.
    Failed(String),
    /// A join found these threads, which run on.
    StillRunning(Vec<String>),
}

/// A coordinator, as far as anyone can see.
#[derive(Clone, Debug, Default)]
pub struct CoordinatorModel {
    reason: Option<String>,
    /// The error kept, and whether it only says that the session is lost.
    failure: Option<(String, bool)>,
    joined: bool,
    threads: Vec<String>,
    /// How often each callback was called that is not taken out.
    callbacks: Vec<u64>,
    registered: usize,
    answer: Answer,
}

impl CoordinatorModel {
    /// Does one act; see [`answer`](Self::answer) for what it must come to.
    pub fn apply(&mut self, act: &CoordinatorAct) {
        let before = (self.should_stop(), self.is_ending());
        self.answer = match *act {
            CoordinatorAct::RequestStop(number) => {
                self.reason.get_or_insert(format!("reason {number}"));
                Answer::Nothing
            }
            CoordinatorAct::Report(told) => self.report(told),
            CoordinatorAct::Register => {
                self.threads.push(format!("thread {}", self.registered));
                self.registered += 1;
                Answer::Nothing
            }
            CoordinatorAct::End(nth, told) => {
                if let Some(place) = nth.checked_rem(self.threads.len()) {
                    told.map(|told| self.report(told));
                    self.threads.remove(place);
                }
                Answer::Nothing
            }
            CoordinatorAct::OnStop => {
                self.callbacks.push(u64::from(self.should_stop()));
                Answer::Nothing
            }
            CoordinatorAct::TakeOut(nth) => {
                if let Some(place) = nth.checked_rem(self.callbacks.len()) {
                    self.callbacks.remove(place);
                }
                Answer::Nothing
            }
            CoordinatorAct::Join { leaving } => self.join(leaving),
        };
        // Once when it becomes a stop, and once more when no new session can mend it.
        let now = (self.should_stop(), self.is_ending());
        if before.0 != now.0 || before.1 != now.1 {
            self.callbacks.iter_mut().for_each(|times| *times += 1);
        }
    }

    /// What the last act must answer.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Whether there is a stop.
    pub fn should_stop(&self) -> bool {
        self.reason.is_some() || self.failure.is_some()
    }

    /// Whether it is one that no new session mends.
    pub fn is_ending(&self) -> bool {
        self.reason.is_some() || self.failure.as_ref().is_some_and(|(_, lost)| !lost)
    }

    /// The first reason, and the error kept.
    pub fn kept(&self) -> (Option<&str>, Option<&str>) {
        (self.reason.as_deref(), self.failure.as_ref().map(|(error, _)| error.as_str()))
    }

    /// How often each callback was called, in the order in which they came.
    pub fn callbacks(&self) -> &[u64] {
        &self.callbacks
    }

    /// Whether a join would wait for as long as the threads run.
    pub fn waits(&self) -> bool {
        !self.threads.is_empty() && !self.should_stop()
    }

    fn report(&mut self, told: Told) -> Answer {
        let (error, lost) = match told {
            Told::Clean => {
                self.reason.get_or_insert("the input has ended".to_owned());
                return Answer::Clean;
            }
            Told::Lost(number) => (format!("loss {number}"), true),
            Told::Failed(number) => (format!("error {number}"), false),
        };
        match self.failure {
            _ if self.joined => Answer::AfterJoin(error),
            Some((_, kept_is_lost)) if lost || !kept_is_lost => Answer::Late(error),
            _ => {
                self.failure = Some((error, lost));
                Answer::First
            }
        }
    }

    fn join(&mut self, leaving: bool) -> Answer {
        if self.waits() {
            return Answer::Nothing;
        }
        self.joined = true;
        match &self.failure {
            Some((error, _)) => Answer::Failed(error.clone()),
            None if leaving => Answer::Left(self.threads.clone()),
            None if self.threads.is_empty() => Answer::Joined,
            None => Answer::StillRunning(self.threads.clone()),
        }
    }
}

/// Histories of any coordinator.
#[derive(Debug)]
pub struct Coordinators;

impl ReferenceStateMachine for Coordinators {
    type State = CoordinatorModel;
    type Transition = CoordinatorAct;

    fn init_state() -> BoxedStrategy<CoordinatorModel> {
        Just(CoordinatorModel::default()).boxed()
    }

    fn transitions(_: &CoordinatorModel) -> BoxedStrategy<CoordinatorAct> {
        let error = || {
            prop_oneof![
                1 => Just(Told::Clean),
                4 => any::<u8>().prop_map(Told::Lost),
                2 => any::<u8>().prop_map(Told::Failed),
            ]
        };
        let end = (any::<usize>(), prop::option::weighted(0.2, error()));
        prop_oneof![
            1 => any::<u8>().prop_map(CoordinatorAct::RequestStop),
            2 => error().prop_map(CoordinatorAct::Report),
            6 => Just(CoordinatorAct::Register),
            4 => end.prop_map(|(nth, told)| CoordinatorAct::End(nth, told)),
            4 => Just(CoordinatorAct::OnStop),
            2 => any::<usize>().prop_map(CoordinatorAct::TakeOut),
            1 => any::<bool>().prop_map(|leaving| CoordinatorAct::Join { leaving }),
        ]
        .boxed()
    }

    fn apply(mut model: CoordinatorModel, act: &CoordinatorAct) -> CoordinatorModel {
        model.apply(act);
        model
    }
}
