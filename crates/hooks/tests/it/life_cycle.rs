//! The order of calls in a session's life, as tables of scripts and traces.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use hooks::HookCall::{AfterCreateSession, AfterRun, BeforeRun, Begin, End};
use hooks::{
    Failure, Hook, HookCall, MonitoredSession, RunContext, Session, SessionError, StepReport,
};

use crate::support::{Deed, Log, Trace, scripts};

type Does = Option<(HookCall, usize, Deed)>;

/// Runs hook `h` around the scripted sessions until the stop, and compares trace and result.
///
/// In the expected trace `h.` is left out and the two long names are shortened.
#[track_caller]
fn check(sessions: &[&str], does: Does, trace: &str, result: Result<Option<i64>, &str>) {
    let log = Log::default();
    let mut hook = Trace::new("h", &log);
    hook.deed = does;
    let ended = MonitoredSession::builder(scripts(sessions, &log))
        .hook(hook)
        .start()
        .and_then(|mut session| session.run_until_stopped())
        .map(|last| last.map(|report| report.global_step))
        .map_err(|error| error.to_string());
    let text = log.text().replace("h.", "").replace("after_create_session", "created");
    let text = text.replace("before_run", "before").replace("after_run", "after");
    assert_eq!((text.as_str(), ended), (trace, result.map_err(str::to_owned)), "{sessions:?}");
}

const STEP: &str = "before run after";

#[test]
fn calls_come_in_order_and_an_end_of_input_is_clean() {
    let two = format!("begin create created {STEP} {STEP} before run end close");
    check(&["ss"], None, &two, Ok(Some(2)));
    check(&["sse"], None, &two, Ok(Some(2)));
    check(&["sst"], None, &two, Ok(Some(2)));
    check(&[""], None, "begin create created before run end close", Ok(None));
}

#[test]
fn a_stop_asked_for_by_a_hook_ends_after_the_step() {
    let one = format!("begin create created {STEP} end close");
    check(&["sss"], Some((BeforeRun, 1, Deed::Stop)), &one, Ok(Some(1)));
    check(&["sss"], Some((AfterRun, 1, Deed::Stop)), &one, Ok(Some(1)));
    let none = "begin create created end close";
    check(&["sss"], Some((AfterCreateSession, 1, Deed::Stop)), none, Ok(None));
}

#[test]
fn a_failure_skips_end_and_is_the_result() {
    check(&["s"], Some((Begin, 1, Deed::Fail)), "begin", Err("h in begin: failed"));
    check(
        &["s"],
        Some((AfterCreateSession, 1, Deed::Fail)),
        "begin create created close",
        Err("h in after_create_session: failed"),
    );
    check(
        &["s"],
        Some((BeforeRun, 1, Deed::Fail)),
        "begin create created before close",
        Err("h in before_run: failed"),
    );
    check(
        &["s"],
        Some((AfterRun, 1, Deed::Fail)),
        "begin create created before run after close",
        Err("h in after_run: failed"),
    );
    check(
        &["s"],
        Some((End, 1, Deed::Fail)),
        &format!("begin create created {STEP} before run end close"),
        Err("h in end: failed"),
    );
    check(&["?"], None, "begin create", Err("the session could not be created: no such session"));
    check(
        &["sx"],
        None,
        &format!("begin create created {STEP} before run close"),
        Err("the step failed: failed"),
    );
}

#[test]
fn a_lost_session_is_created_again_and_the_step_retried() {
    check(
        &["sl", "s"],
        None,
        &format!(
            "begin create created {STEP} before run close \
             create created {STEP} before run end close"
        ),
        Ok(Some(1)),
    );
    let lost_at_birth = "begin create create created before run end close";
    check(&["!", ""], None, lost_at_birth, Ok(None));
    for call in [AfterCreateSession, BeforeRun, AfterRun] {
        let upto = match call {
            AfterCreateSession => "created",
            BeforeRun => "created before",
            _ => "created before run after",
        };
        let trace = format!("begin create {upto} close create created {STEP} before run end close");
        check(&["ss", "s"], Some((call, 1, Deed::Lose)), &trace, Ok(Some(1)));
    }
    check(
        &["l"],
        None,
        "begin create created before run close create",
        Err("the session could not be created: out of sessions"),
    );
}

/// Hooks are called in their order, and one that fails keeps the later ones from the call.
#[test]
fn several_hooks_are_called_in_order() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["s"], &log))
        .hook(Trace::new("a", &log))
        .hooks([Box::new(Trace::new("b", &log)) as Box<dyn hooks::Hook<_>>])
        .start()
        .expect("nothing fails");
    session.run_until_stopped().expect("nothing fails");
    let expected = "a.begin b.begin create a.after_create_session b.after_create_session \
        a.before_run b.before_run run a.after_run b.after_run \
        a.before_run b.before_run run a.end b.end close";
    assert_eq!(log.text(), expected);

    let log = Log::default();
    let started = MonitoredSession::builder(scripts(&["s"], &log))
        .hook(Trace::new("a", &log).doing(Begin, 1, Deed::Fail))
        .hook(Trace::new("b", &log))
        .start();
    assert!(matches!(started, Err(SessionError::Hook { call: Begin, .. })));
    assert_eq!(log.text(), "a.begin");
}

/// The first of two errors at the end is returned, and the second hook still has its turn.
#[test]
fn every_hook_ends_and_the_first_error_wins() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&[""], &log))
        .hook(Trace::new("a", &log).doing(End, 1, Deed::Fail))
        .hook(Trace::new("b", &log).doing(End, 1, Deed::Fail))
        .start()
        .expect("nothing fails at the start");
    let error = session.run_until_stopped().expect_err("both hooks fail in end");
    assert_eq!(error.to_string(), "a in end: failed");
    assert!(log.text().ends_with("a.end b.end close"), "{}", log.text());
}

/// Panics in one of its calls around a step.
struct Panics(HookCall);

impl<S: Session> Hook<S> for Panics {
    fn before_run(&mut self, _: &mut S, _: &RunContext<'_>) -> Result<(), Failure> {
        self.at(BeforeRun)
    }

    fn after_run(&mut self, _: &mut S, _: &RunContext<'_>, _: &StepReport) -> Result<(), Failure> {
        self.at(AfterRun)
    }
}

impl Panics {
    fn at(&self, call: HookCall) -> Result<(), Failure> {
        if call == self.0 { resume_unwind(Box::new("a hook panicked")) } else { Ok(()) }
    }
}

#[test]
fn a_panic_skips_end_as_a_failure_does() {
    for call in [BeforeRun, AfterRun] {
        let log = Log::default();
        let builder = MonitoredSession::builder(scripts(&["ss"], &log));
        let hooks = builder.hook(Trace::new("h", &log)).hook(Panics(call));
        let mut session = hooks.start().expect("it opens");
        let panicked = catch_unwind(AssertUnwindSafe(|| session.run().map(drop)));
        assert!(panicked.is_err(), "{call}: the caller sees it");
        assert!(session.should_stop(), "{call}");
        assert!(matches!(session.run(), Err(SessionError::RunAfterStop { .. })), "{call}");
        session.close().expect("no error was reported");
        assert!(!log.text().contains("h.end"), "{call}: {}", log.text());
        assert!(log.text().ends_with("close"), "{call}: {}", log.text());
    }
}
