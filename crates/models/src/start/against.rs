//! A [`SessionManager`] run beside the model: calls, sessions and errors must be the same.
//!
//! No thread is started, and a wait has no time. Invariant: what a call comes to is the model's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hooks::{BoxError, Coordinator, Readiness, SessionManager, StartError};
use proptest_state_machine::StateMachineTest;

use super::{CallResult, CallResults, StartAct, StartModel, Started, Starts};

/// The test of a session manager, for
/// [`prop_state_machine!`](proptest_state_machine::prop_state_machine).
#[derive(Debug)]
pub struct StartTest;

/// A manager in the middle of a history.
pub struct Manager {
    manager: SessionManager<'static, Vars>,
    readiness: Readiness,
    coordinator: Coordinator,
    play: Play,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}

/// What the calls come to, and which were made.
#[derive(Clone, Default)]
struct Play(Arc<Mutex<(Option<CallResults>, Vec<&'static str>)>>);

/// The session: which of its variables are there.
#[derive(Default)]
struct Vars {
    shared: bool,
    local: bool,
}

impl Play {
    fn expect(&self, results: CallResults) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Some(results), Vec::new());
    }

    /// Whether the call has something to show for it.
    fn call(
        &self,
        name: &'static str,
        result: fn(CallResults) -> CallResult,
    ) -> Result<bool, BoxError> {
        let mut play = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        play.1.push(name);
        match play.0.map_or(CallResult::Fine, result) {
            CallResult::Fails => Err(name.into()),
            result => Ok(result == CallResult::Fine),
        }
    }

    fn called(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

fn missing(vars: &[(&str, bool)]) -> Vec<String> {
    vars.iter().filter(|(_, there)| !there).map(|(name, _)| (*name).to_owned()).collect()
}

fn error(error: StartError) -> Started {
    // A call that fails says its name.
    let failed = |name, cause: BoxError| {
        assert_eq!(cause.to_string(), name, "the cause");
        (name, Vec::new())
    };
    let (kind, missing) = match error {
        StartError::Make(cause) => failed("make", cause),
        StartError::Restore(cause) => failed("restore", cause),
        StartError::Init(cause) => failed("init", cause),
        StartError::LocalInit(cause) => failed("local init", cause),
        StartError::NothingToStartFrom => ("nothing to start from", Vec::new()),
        StartError::NotReady { missing } => ("not ready", missing),
        StartError::DeadlineExceeded { missing, timeout } => {
            assert_eq!(timeout, Duration::ZERO, "how long was waited");
            ("deadline", missing)
        }
        StartError::Stopped => ("stopped", Vec::new()),
        other => panic!("the model does not know {other:?}"),
    };
    Started::Error(kind, missing)
}

impl Manager {
    fn new(model: &StartModel) -> Self {
        let (play, given) = (Play::default(), model.given());
        let of = || play.clone();
        let make = of();
        let mut manager = SessionManager::new(move || {
            make.call("make", |results| results.make).map(|_| Vars::default())
        });
        if given.checkpoint {
            let play = of();
            manager = manager.checkpoint(move |vars: &mut Vars| {
                vars.shared = play.call("restore", |results| results.restore)?;
                Ok(vars.shared.then_some(40))
            });
        }
        if given.init {
            let play = of();
            manager = manager.init(move |vars| {
                vars.shared = play.call("init", |results| results.init)?;
                Ok(())
            });
        }
        if given.local_init {
            let (ready, init) = (of(), of());
            manager = manager.local_init(
                move |vars| {
                    drop(ready.call("ready for local", |_| CallResult::Fine));
                    missing(&[("shared", vars.shared)])
                },
                move |vars| {
                    vars.local = init.call("local init", |results| results.local_init)?;
                    Ok(())
                },
            );
        }
        if given.ready {
            let play = of();
            manager = manager.ready(move |vars| {
                drop(play.call("ready", |_| CallResult::Fine));
                missing(&[("shared", vars.shared), ("local", vars.local)])
            });
        }
        let (readiness, coordinator) = (Readiness::new(["a", "b"]), Coordinator::new());
        Self { manager, readiness, coordinator, play }
    }

    fn act(&mut self, act: &StartAct) -> Started {
        match act {
            StartAct::Prepare(results) => {
                self.play.expect(*results);
                self.manager.prepare_session().map_or_else(error, |(vars, restored)| {
                    assert!(restored.is_none_or(|step| step == 40), "{restored:?}");
                    Started::Session(vars.shared, vars.local, Some(restored.is_some()))
                })
            }
            StartAct::Recover(results) => {
                self.play.expect(*results);
                self.manager.recover_session().map_or_else(error, |(vars, ready)| {
                    Started::Session(vars.shared, vars.local, Some(ready))
                })
            }
            StartAct::Wait(results) => {
                self.play.expect(*results);
                let (readiness, coordinator) = (&self.readiness, &self.coordinator);
                self.manager
                    .wait_for_session(readiness, coordinator, Duration::ZERO)
                    .map_or_else(error, |vars| Started::Session(vars.shared, vars.local, None))
            }
            StartAct::Publish(first) => {
                self.readiness.publish(if *first { "a" } else { "b" });
                Started::Nothing
            }
            StartAct::PublishAll => {
                self.readiness.publish_all();
                Started::Nothing
            }
            StartAct::RequestStop => {
                self.coordinator.request_stop("somebody wants it");
                Started::Nothing
            }
        }
    }
}

impl StateMachineTest for StartTest {
    type SystemUnderTest = Manager;
    type Reference = Starts;

    fn init_test(model: &StartModel) -> Manager {
        Manager::new(model)
    }

    fn apply(mut run: Manager, after: &StartModel, act: StartAct) -> Manager {
        assert_eq!(&run.act(&act), after.answer(), "the answer");
        assert_eq!(run.play.called(), after.calls(), "the calls");
        assert_eq!(run.readiness.missing(), after.unpublished(), "what is not published");
        run
    }
}
