//! Stops from outside, errors of background threads, closing and dropping (R-30, R-31, P-1).

use std::error::Error as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hooks::{
    Coordinator, HookCall, JoinError, MonitoredSession, RunError, Session, SessionError, StepReport,
};

use crate::support::{Deed, Log, Scripted, Trace, scripts};

#[test]
fn a_run_after_a_stop_that_the_caller_could_see_is_an_error() {
    let log = Log::default();
    let stop = Trace::new("h", &log).doing(HookCall::AfterRun, 1, Deed::Stop);
    let mut session = MonitoredSession::builder(scripts(&["sss"], &log))
        .hook(stop)
        .start()
        .expect("nothing fails");
    assert!(!session.should_stop());
    session.run().expect("the step goes through");
    assert!(session.should_stop());
    let error = session.run().expect_err("the stop was requested");
    assert!(
        matches!(&error, SessionError::RunAfterStop { reason } if reason == "h in after_run"),
        "{error}"
    );
    session.close().expect("asking once too often is no failure of the run");
    assert!(log.text().ends_with("h.end close"));
    assert!(matches!(session.run(), Err(SessionError::Closed)));
}

/// A stop from another thread cannot fail a driver that has just looked at `should_stop`.
#[test]
fn a_stop_from_outside_does_not_fail_the_next_run() {
    let log = Log::default();
    let coordinator = Coordinator::new();
    let mut session = MonitoredSession::builder(scripts(&["sss"], &log))
        .coordinator(coordinator.clone())
        .start()
        .expect("nothing fails");
    coordinator.request_stop("interrupted");
    assert!(session.should_stop());
    assert!(session.run().expect("the driver could not know").is_some());
    assert!(matches!(session.run(), Err(SessionError::RunAfterStop { .. })));
    session.close().expect("a stop is no error");
}

#[test]
fn an_error_of_a_thread_surfaces_when_closing() {
    // an exception reported to the coordinator passes through run and surfaces at exit
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["sss"], &log))
        .hook(Trace::new("h", &log))
        .start()
        .expect("nothing fails");
    session.coordinator().request_stop_with_error("the runner broke");
    assert!(session.should_stop());
    for _ in 0..2 {
        assert!(session.run().expect("the step itself goes through").is_some());
    }
    let error = session.close().expect_err("the thread's error");
    assert_eq!(error.to_string(), "a background thread failed: the runner broke");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the runner broke"));
    // The steps went well, so the hooks ended as they do.
    assert!(log.text().ends_with("h.end close"));
    session.close().expect("closing again does nothing");
}

#[test]
fn the_first_real_error_is_the_one_the_caller_gets() {
    let log = Log::default();
    let mut session =
        MonitoredSession::builder(scripts(&["x"], &log)).start().expect("nothing fails");
    session.coordinator().request_stop_with_error(RunError::recoverable("gives way"));
    session.coordinator().request_stop_with_error("first");
    let failed = session.run().expect_err("the script fails");
    assert_eq!(failed.to_string(), "the step failed: failed");
    let closed = session.close().expect_err("the thread was first");
    assert_eq!(closed.to_string(), "a background thread failed: first");

    let mut session =
        MonitoredSession::builder(scripts(&["x"], &log)).start().expect("nothing fails");
    session.run().expect_err("the script fails");
    session.coordinator().request_stop_with_error("second");
    let closed = session.close().expect_err("the step was first");
    assert_eq!(closed.to_string(), "the step failed: failed");
}

#[test]
fn a_thread_that_reports_an_end_of_input_ends_the_run_cleanly() {
    let log = Log::default();
    let mut session =
        MonitoredSession::builder(scripts(&["sss"], &log)).start().expect("nothing fails");
    session.coordinator().request_stop_with_error(RunError::EndOfInput);
    session.run_until_stopped().expect("an end of input is a clean end");
    assert_eq!(log.text(), "create close");
}

/// A session whose `close` wakes a thread that waits in it, as a queue's does.
struct Waking(Option<mpsc::Sender<()>>);

impl Session for Waking {
    fn run(&mut self) -> Result<StepReport, RunError> {
        Err(RunError::EndOfInput)
    }

    fn global_step(&self) -> i64 {
        0
    }

    fn close(&mut self) {
        self.0 = None;
    }
}

// P-1: the grace period never ends, so this ends only because the close wakes the thread.
#[test]
fn closing_wakes_threads_and_joins_them() {
    // CoordinatedSession joins its threads; GracePeriod
    let (sender, receiver) = mpsc::channel();
    let log = Log::default();
    let coordinator = Coordinator::new();
    let thread_log = log.clone();
    let spawned = coordinator.spawn("runner", move |_| -> Result<(), String> {
        let woken = receiver.recv().is_err();
        thread_log.push(format!("woken {woken}"));
        Ok(())
    });
    spawned.expect("a thread can be started");
    let mut sender = Some(sender);
    MonitoredSession::builder(move |_| Ok(Waking(sender.take())))
        .coordinator(coordinator)
        .grace(Duration::MAX)
        .start()
        .and_then(|mut session| session.run_until_stopped())
        .expect("a normal end is quiet");
    assert_eq!(log.text(), "woken true");
}

#[test]
fn a_thread_that_does_not_end_is_named() {
    let (sender, receiver) = mpsc::channel::<()>();
    let coordinator = Coordinator::new();
    let body = move |_: &Coordinator| -> Result<(), mpsc::RecvError> {
        let _ = receiver.recv();
        Ok(())
    };
    coordinator.spawn("deaf", body).expect("a thread can be started");
    let log = Log::default();
    let error = MonitoredSession::builder(scripts(&[""], &log))
        .coordinator(coordinator.clone())
        .grace(Duration::from_millis(1))
        .start()
        .and_then(|mut session| session.run_until_stopped())
        .expect_err("the thread is still running");
    let SessionError::Join(JoinError::StillRunning { names, .. }) = error else {
        panic!("unexpected: {error}");
    };
    assert_eq!(names, ["deaf"]);
    drop(sender);
    coordinator.join(Duration::MAX).expect("it has ended now");
}

#[test]
fn dropping_stops_everybody_and_ends_no_hook() {
    let log = Log::default();
    let coordinator = Coordinator::new();
    let session = MonitoredSession::builder(scripts(&["s"], &log))
        .hook(Trace::new("h", &log))
        .coordinator(coordinator.clone())
        .start()
        .expect("nothing fails");
    drop(session);
    assert!(coordinator.should_stop());
    assert_eq!(log.text(), "h.begin create h.after_create_session close");
}

struct PanicsInClose;

impl Session for PanicsInClose {
    fn run(&mut self) -> Result<StepReport, RunError> {
        panic!("in run");
    }

    fn global_step(&self) -> i64 {
        0
    }

    fn close(&mut self) {
        panic!("in close");
    }
}

/// A second panic while the first unwinds would abort the whole test binary.
#[test]
fn dropping_never_panics() {
    let thread = thread::spawn(|| {
        let started = MonitoredSession::builder(|_| Ok(PanicsInClose)).start();
        let _ = started.map(|mut session| session.run().is_ok());
    });
    thread.join().expect_err("the step panics");
    drop(MonitoredSession::builder(|_| Ok(PanicsInClose)).start().expect("nothing fails"));
}

#[test]
fn a_session_moves_between_threads_and_may_borrow() {
    let log = Log::default();
    let mut inner = Scripted::new("sss", &log);
    let mut once = Some(&mut inner);
    let create = move |_: &Coordinator| once.take().ok_or_else(|| RunError::fatal("only once"));
    let mut session = MonitoredSession::builder(create).start().expect("nothing fails");
    thread::scope(|scope| {
        let drive = || session.run().map(|report| report.map(|report| report.global_step));
        let step = scope.spawn(drive).join().expect("no panic");
        assert_eq!(step.expect("the script steps"), Some(1));
    });
    assert_eq!(session.session().map(|session| session.step), Some(1));
    session.close().expect("nothing fails");
    drop(session);
    assert_eq!(inner.step, 1);
}
