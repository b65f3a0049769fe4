//! The reference model of starts: what a session manager calls, and what results.
//!
//! One shared variable and one local one, each there or not; no thread waits. Invariant: a start
//! that succeeds has no variable missing where the manager can tell.

mod against;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

pub use against::StartTest;

/// What one call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It does its work: a checkpoint is found, a variable is there afterwards.
    Fine,
    /// It goes well and has nothing to show: no checkpoint is found, the variable is still missing.
    Nothing,
    /// It fails.
    Fails,
}

/// What the calls of one start come to.
#[derive(Clone, Copy, Debug)]
pub struct CallResults {
    /// Making the session; it is made unless it fails.
    pub make: CallResult,
    /// Looking for a checkpoint, which has the shared variable.
    pub restore: CallResult,
    /// Initialising the shared variable.
    pub init: CallResult,
    /// Initialising the local variable.
    pub local_init: CallResult,
}

/// What a manager was given.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// A checkpoint to look for.
    pub checkpoint: bool,
    /// An initialiser of the shared variable.
    pub init: bool,
    /// One of the local variable, which runs when the shared one is there.
    pub local_init: bool,
    /// The check that names what is missing.
    pub ready: bool,
}

/// One thing done to a manager, or to what it waits for.
#[derive(Clone, Debug)]
pub enum StartAct {
    /// The chief's start.
    Prepare(CallResults),
    /// A start that initialises nothing shared.
    Recover(CallResults),
    /// The start on the others, which has no time to wait.
    Wait(CallResults),
    /// One of the two published variables is ready.
    Publish(bool),
    /// Both are.
    PublishAll,
    /// A thread asks for a stop.
    RequestStop,
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Started {
    /// Nothing.
    Nothing,
    /// A session: its shared variable, its local one, and whether it was restored, as far as told.
    Session(bool, bool, Option<bool>),
    /// This kind of error, and the variables it names.
    Error(&'static str, Vec<String>),
}

/// A session manager with its readiness, as far as anyone can see.
#[derive(Clone, Debug)]
pub struct StartModel {
    given: Given,
    unpublished: Vec<String>,
    stop: bool,
    calls: Vec<&'static str>,
    answer: Started,
}

/// A session in the making.
#[derive(Default)]
struct Made {
    shared: bool,
    local: bool,
}

impl StartModel {
    /// A manager given this, before its first start; `a` and `b` are published later.
    pub fn new(given: Given) -> Self {
        let unpublished = ["a", "b"].map(str::to_owned).to_vec();
        Self { given, unpublished, stop: false, calls: Vec::new(), answer: Started::Nothing }
    }

    /// Does one act; see [`calls`](Self::calls) and [`answer`](Self::answer) for what it must do.
    pub fn apply(&mut self, act: &StartAct) {
        self.calls.clear();
        let answer = match act {
            StartAct::Prepare(results) => self.prepare(results),
            StartAct::Recover(results) => self.recover(results),
            StartAct::Wait(results) => self.wait(results),
            StartAct::Publish(first) => {
                let ready = if *first { "a" } else { "b" };
                self.unpublished.retain(|name| name != ready);
                Ok(Started::Nothing)
            }
            StartAct::PublishAll => {
                self.unpublished.clear();
                Ok(Started::Nothing)
            }
            StartAct::RequestStop => {
                self.stop = true;
                Ok(Started::Nothing)
            }
        };
        self.answer = answer.unwrap_or_else(|kind| Started::Error(kind, Vec::new()));
    }

    /// What the manager was given.
    pub fn given(&self) -> Given {
        self.given
    }

    /// The variables that are not published.
    pub fn unpublished(&self) -> &[String] {
        &self.unpublished
    }

    /// The calls that the last act must have made, in order.
    pub fn calls(&self) -> &[&'static str] {
        &self.calls
    }

    /// What the last act must answer.
    pub fn answer(&self) -> &Started {
        &self.answer
    }

    fn call(&mut self, name: &'static str, result: CallResult) -> Result<bool, &'static str> {
        self.calls.push(name);
        if result == CallResult::Fails { Err(name) } else { Ok(result == CallResult::Fine) }
    }

    fn prepare(&mut self, results: &CallResults) -> Result<Started, &'static str> {
        self.call("make", results.make)?;
        let restored = self.given.checkpoint && self.call("restore", results.restore)?;
        let mut made = Made { shared: restored, local: false };
        if !restored && self.given.init {
            made.shared = self.call("init", results.init)?;
        } else if !restored && !self.given.local_init {
            return Err("nothing to start from");
        }
        let missing = self.finish(results, &mut made)?;
        Ok(Self::ended(made, missing, Some(restored)))
    }

    fn recover(&mut self, results: &CallResults) -> Result<Started, &'static str> {
        self.call("make", results.make)?;
        let restored = self.given.checkpoint && self.call("restore", results.restore)?;
        let mut made = Made { shared: restored, local: false };
        let missing = self.finish(results, &mut made)?;
        Ok(Started::Session(made.shared, made.local, Some(restored && missing.is_empty())))
    }

    fn wait(&mut self, results: &CallResults) -> Result<Started, &'static str> {
        if !self.unpublished.is_empty() {
            let late = Started::Error("deadline", self.unpublished.clone());
            return if self.stop { Err("stopped") } else { Ok(late) };
        }
        self.call("make", results.make)?;
        let mut made = Made::default();
        let missing = self.finish(results, &mut made)?;
        Ok(Self::ended(made, missing, None))
    }

    fn ended(made: Made, missing: Vec<String>, restored: Option<bool>) -> Started {
        if missing.is_empty() {
            Started::Session(made.shared, made.local, restored)
        } else {
            Started::Error("not ready", missing)
        }
    }

    /// What is local, once what is shared is there; then the names of what is missing.
    fn finish(
        &mut self,
        results: &CallResults,
        made: &mut Made,
    ) -> Result<Vec<String>, &'static str> {
        if self.given.local_init {
            self.calls.push("ready for local");
            if !made.shared {
                return Ok(vec!["shared".to_owned()]);
            }
            made.local = self.call("local init", results.local_init)?;
        }
        if !self.given.ready {
            return Ok(Vec::new());
        }
        self.calls.push("ready");
        let all = [("shared", made.shared), ("local", made.local)];
        Ok(all.iter().filter(|(_, there)| !there).map(|(name, _)| (*name).to_owned()).collect())
    }
}

/// Histories of any manager.
#[derive(Debug)]
pub struct Starts;

impl ReferenceStateMachine for Starts {
    type State = StartModel;
    type Transition = StartAct;

    fn init_state() -> BoxedStrategy<StartModel> {
        let given = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        let given = given.prop_map(|(checkpoint, init, local_init, ready)| {
            StartModel::new(Given { checkpoint, init, local_init, ready })
        });
        given.boxed()
    }

    fn transitions(_: &StartModel) -> BoxedStrategy<StartAct> {
        let seldom = prop_oneof![
            4 => any::<bool>().prop_map(StartAct::Publish),
            1 => Just(StartAct::PublishAll),
            1 => Just(StartAct::RequestStop),
        ];
        prop_oneof![
            4 => call_results().prop_map(StartAct::Prepare),
            2 => call_results().prop_map(StartAct::Recover),
            4 => call_results().prop_map(StartAct::Wait),
            1 => seldom,
        ]
        .boxed()
    }

    fn apply(mut model: StartModel, act: &StartAct) -> StartModel {
        model.apply(act);
        model
    }
}

fn call_results() -> impl Strategy<Value = CallResults> {
    let result = || {
        prop_oneof![
            6 => Just(CallResult::Fine),
            2 => Just(CallResult::Nothing),
            1 => Just(CallResult::Fails),
        ]
    };
    (result(), result(), result(), result()).prop_map(|(make, restore, init, local_init)| {
        CallResults { make, restore, init, local_init }
    })
}
