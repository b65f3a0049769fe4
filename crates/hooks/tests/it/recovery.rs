//! Sessions that are lost and created again.

use std::sync::mpsc;
use std::time::Duration;

use hooks::{
    Coordinator, Failure, Hook, MonitoredSession, RunContext, RunError, SessionError, StopAtStep,
};

use crate::support::{Log, Scripted, Trace, scripts};

/// RecoverableSession: three sessions that abort after 1, 2 and 3 runs.
///
/// The runs add up over them, then it fails.
#[test]
fn runs_go_on_over_three_sessions() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["sl", "ssl", "sssl"], &log))
        .start()
        .expect("nothing fails");
    let mut steps = Vec::new();
    let error = loop {
        match session.run() {
            Ok(report) => steps.extend(report.map(|report| report.global_step)),
            Err(error) => break error,
        }
    };
    assert_eq!(steps, [1, 1, 2, 1, 2, 3]);
    assert_eq!(error.to_string(), "the session could not be created: out of sessions");
    assert!(session.session().is_none());
    session.close().expect_err("the same error again");
}

/// RetryOnAborted: without a checkpoint the retried run starts over at step 1, with one it goes on.
#[test]
fn the_retried_step_starts_where_the_new_session_stands() {
    for (restored, expected) in [(0, [1, 2, 1, 2]), (2, [1, 2, 3, 4])] {
        let log = Log::default();
        let mut starts = [("ssl", 0), ("ss", restored)].into_iter();
        let mut session = MonitoredSession::builder(|_| {
            let (script, step) = starts.next().ok_or_else(|| RunError::fatal("no third"))?;
            Ok(Scripted::new(script, &log).at(step))
        })
        .start()
        .expect("nothing fails");
        let steps: Vec<_> = (0..4)
            .map(|_| session.run().expect("nothing fails").expect("a step").global_step)
            .collect();
        assert_eq!(steps, expected);
    }
}

#[test]
fn losses_without_a_step_between_them_are_bounded() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["sl", "l", "l", "l", "s"], &log))
        .max_recoveries(2)
        .start()
        .expect("nothing fails");
    assert!(session.run().expect("the script steps").is_some());
    let error = session.run().expect_err("lost a third time in a row");
    assert!(matches!(error, SessionError::RecoveryLimit { recoveries: 2, .. }), "{error}");

    let started = MonitoredSession::builder(scripts(&["!", "!", "s"], &log)).max_recoveries(1);
    assert!(matches!(started.start(), Err(SessionError::RecoveryLimit { recoveries: 1, .. })));
}

/// A loss that a thread reports is no reason to stop: the next run creates the session again.
#[test]
fn a_loss_reported_by_a_thread_recovers_at_the_next_run() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["sx", "s"], &log))
        .hook(Trace::new("h", &log))
        .start()
        .expect("nothing fails");
    session.run().expect("the script steps");
    session.coordinator().request_stop_with_error(RunError::recoverable("peer lost"));
    assert!(session.coordinator().should_stop());
    assert!(!session.should_stop());
    let report = session.run().expect("the second session steps").expect("a step");
    assert_eq!(report.global_step, 1);
    assert!(!session.coordinator().should_stop());
    session.close().expect("the loss was mended");
    let created = log.entries().iter().filter(|entry| *entry == "h.after_create_session").count();
    assert_eq!(created, 2);
}

/// Reports a loss from beside the first step, as a thread would.
struct Reporter(bool);

impl Hook<Scripted> for Reporter {
    fn before_run(&mut self, _: &mut Scripted, context: &RunContext<'_>) -> Result<(), Failure> {
        if std::mem::take(&mut self.0) {
            context.coordinator().request_stop_with_error(RunError::recoverable("peer lost"));
        }
        Ok(())
    }
}

/// What a step says after a reported loss, be it a failure or an end, is the loss speaking.
#[test]
fn a_reported_loss_explains_what_the_step_says() {
    for first in ["x", "e", "t"] {
        let (log, sessions) = (Log::default(), [first, "ss"]);
        let mut session = MonitoredSession::builder(scripts(&sessions, &log))
            .hook(Reporter(true))
            .start()
            .expect("nothing fails");
        let last = session.run_until_stopped().expect("the loss is mended");
        assert_eq!(last.map(|report| report.global_step), Some(2), "{first}");
    }
}

/// A loss that needed no mending before the close is no error.
#[test]
fn a_loss_at_the_close_is_no_error() {
    let log = Log::default();
    let mut session =
        MonitoredSession::builder(scripts(&["s"], &log)).start().expect("nothing fails");
    session.coordinator().request_stop_with_error(Failure::recoverable("peer lost"));
    session.close().expect("nothing was left to do");
}

/// When a stop was requested, a loss ends the run: no session is created to be thrown away.
#[test]
fn a_loss_after_a_stop_ends_cleanly() {
    let log = Log::default();
    let mut session =
        MonitoredSession::builder(scripts(&["l", "s"], &log)).start().expect("nothing fails");
    session.coordinator().request_stop("enough");
    assert_eq!(session.run().expect("a clean end"), None);
    session.close().expect("a clean end");
    assert_eq!(log.text(), "create run close");
}

/// Starts one thread for each session, which ends only by the coordinator's stop.
struct Runner(Log, mpsc::Sender<()>);

impl Hook<Scripted> for Runner {
    fn after_create_session(
        &mut self,
        _: &mut Scripted,
        coordinator: &Coordinator,
    ) -> Result<(), Failure> {
        let (log, sender) = (self.0.clone(), self.1.clone());
        let body = move |coordinator: &Coordinator| -> Result<(), mpsc::SendError<()>> {
            coordinator.wait_for_stop(Duration::MAX);
            log.push("ended");
            sender.send(())
        };
        coordinator.spawn("runner", body).map_err(Failure::fatal)
    }
}

#[test]
fn the_threads_of_a_lost_session_end_before_the_next_is_created() {
    let log = Log::default();
    let (sender, receiver) = mpsc::channel();
    MonitoredSession::builder(scripts(&["l", "ss"], &log))
        .hook(Runner(log.clone(), sender))
        .hook(StopAtStep::last_step(2))
        .grace(Duration::MAX)
        .start()
        .and_then(|mut session| session.run_until_stopped())
        .expect("nothing fails");
    let text = log.text();
    let order: Vec<_> =
        text.split(' ').filter(|entry| ["create", "ended"].contains(entry)).collect();
    assert_eq!(order, ["create", "ended", "create", "ended"]);
    assert_eq!(receiver.iter().count(), 2);
}
