//! The coordinator: stop, wait, join, and which error is kept (R-31, P-1).

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use hooks::{Coordinator, Failure, JoinError, Reported, RunError};

use crate::support::Log;

const LONG: Duration = Duration::MAX;
const NONE: Duration = Duration::ZERO;

#[test]
fn a_stop_is_seen_by_all() {
    // StopAPI, StopAsync
    let coordinator = Coordinator::new();
    assert!(!coordinator.should_stop());
    assert!(!coordinator.wait_for_stop(NONE));
    assert!(!coordinator.wait_for_stop(Duration::from_millis(1)));
    coordinator.clone().request_stop("first");
    coordinator.request_stop("second");
    assert!(coordinator.should_stop());
    assert!(coordinator.wait_for_stop(NONE));
    assert_eq!(coordinator.stop_reason().as_deref(), Some("first"));
}

// P-1: the waits have no end of their own.
#[test]
fn a_stop_wakes_every_waiter() {
    let coordinator = Coordinator::new();
    let (sender, waiting) = mpsc::channel();
    for index in 0..8 {
        let sender = sender.clone();
        let body = move |coordinator: &Coordinator| -> Result<(), mpsc::SendError<()>> {
            sender.send(())?;
            assert!(coordinator.wait_for_stop(LONG));
            Ok(())
        };
        coordinator.spawn(format!("waiter {index}"), body).expect("a thread can be started");
    }
    assert_eq!(waiting.iter().take(8).count(), 8);
    coordinator.request_stop("enough");
    coordinator.join(LONG).expect("all have ended");
}

#[test]
fn joining_waits_for_threads_and_needs_no_stop() {
    // Join
    let coordinator = Coordinator::new();
    let (sender, receiver) = mpsc::channel();
    for value in 0..3 {
        let sender = sender.clone();
        coordinator.spawn("sender", move |_| sender.send(value)).expect("a thread can be started");
    }
    drop(sender);
    coordinator.join(NONE).expect("all have ended, however short the grace");
    assert!(!coordinator.should_stop());
    let mut values: Vec<_> = receiver.iter().collect();
    values.sort_unstable();
    assert_eq!(values, [0, 1, 2]);
}

#[test]
fn threads_still_running_after_the_grace_period_are_named() {
    // JoinGraceExpires
    let coordinator = Coordinator::new();
    let registered = [coordinator.register("one"), coordinator.register("two")];
    coordinator.request_stop("enough");
    let error = coordinator.join(Duration::from_millis(1)).expect_err("both still run");
    assert!(matches!(&error, JoinError::StillRunning { names, .. } if names == &["one", "two"]));
    assert!(error.to_string().contains("one, two"), "{error}");
    let names = coordinator.join_leaving(NONE).expect("left, not an error");
    assert_eq!(names, ["one", "two"]);
    drop(registered);
    coordinator.join(NONE).expect("all have ended");
}

#[test]
fn scoped_threads_can_be_registered() {
    let coordinator = Coordinator::new();
    let mut borrowed = 0;
    thread::scope(|scope| {
        let registration = coordinator.register("scoped");
        let borrowed = &mut borrowed;
        scope.spawn(move || {
            registration.run(|_| -> Result<(), io::Error> {
                *borrowed += 1;
                Err(io::Error::other("it broke"))
            });
        });
        let error = coordinator.join(LONG).expect_err("the thread failed");
        assert_eq!(error.to_string(), "it broke");
    });
    assert_eq!(borrowed, 1);
}

#[derive(Clone, Copy, Debug)]
enum Report {
    Plain(&'static str),
    Lost(&'static str),
    EndOfInput,
    Stop,
}

#[track_caller]
fn check_kept(reports: &[Report], answers: &[&str], kept: Option<&str>) {
    let coordinator = Coordinator::new();
    let answers_made: Vec<_> = reports
        .iter()
        .map(|report| {
            let reported = match *report {
                Report::Plain(text) => coordinator.request_stop_with_error(text),
                Report::Lost(text) => {
                    coordinator.request_stop_with_error(RunError::recoverable(text))
                }
                Report::EndOfInput => coordinator.request_stop_with_error(RunError::EndOfInput),
                Report::Stop => {
                    coordinator.request_stop("stop");
                    return "stop";
                }
            };
            match reported {
                Reported::First => "first",
                Reported::Clean => "clean",
                Reported::Late(_) => "late",
                _ => "other",
            }
        })
        .collect();
    assert_eq!(answers_made, answers, "{reports:?}");
    assert!(coordinator.should_stop(), "{reports:?}");
    let error = coordinator.join(NONE).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), kept, "{reports:?}");
    let late = coordinator.request_stop_with_error("after the join");
    assert!(matches!(&late, Reported::Joined(error) if error.to_string() == "after the join"));
}

#[test]
fn the_first_real_error_wins() {
    // JoinRaiseReportExcInfo, JoinRaiseReportException, RequestStopOnException
    use Report::{EndOfInput, Lost, Plain, Stop};
    let lost = "the session was lost and can be created again";
    check_kept(&[Plain("a")], &["first"], Some("a"));
    check_kept(&[Plain("a"), Plain("b")], &["first", "late"], Some("a"));
    check_kept(&[Plain("a"), Lost("b")], &["first", "late"], Some("a"));
    check_kept(&[Lost("a"), Lost("b")], &["first", "late"], Some(lost));
    check_kept(&[Lost("a"), Plain("b"), Plain("c")], &["first", "first", "late"], Some("b"));
    check_kept(&[EndOfInput], &["clean"], None);
    check_kept(&[EndOfInput, Plain("a")], &["clean", "first"], Some("a"));
    check_kept(&[Stop, Plain("a")], &["stop", "first"], Some("a"));
    check_kept(&[Plain("a"), Stop], &["first", "stop"], Some("a"));
}

#[test]
fn which_errors_are_a_plain_stop_can_be_chosen() {
    let strict = Coordinator::with_clean_stop(|_| false);
    assert!(matches!(strict.request_stop_with_error(RunError::EndOfInput), Reported::First));
    strict.join(NONE).expect_err("nothing is filtered");

    let lenient = Coordinator::with_clean_stop(|error| error.is::<io::Error>());
    let body = |_: &Coordinator| Err(io::Error::other("closed"));
    lenient.spawn("reader", body).expect("a thread can be started");
    lenient.join(LONG).expect("filtered");
    assert!(lenient.should_stop());
}

#[test]
fn panics_are_errors() {
    #[track_caller]
    fn check(body: fn(), message: &str) {
        let coordinator = Coordinator::new();
        let run = move |_: &Coordinator| -> Result<(), Failure> {
            body();
            Ok(())
        };
        coordinator.spawn("shaky", run).expect("a thread can be started");
        let error = coordinator.join(LONG).expect_err("it panicked");
        assert_eq!(error.to_string(), message);
    }
    check(|| panic!("plain"), "thread 'shaky' panicked: plain");
    check(|| panic!("with {}", 1), "thread 'shaky' panicked: with 1");
    check(|| std::panic::panic_any(7), "thread 'shaky' panicked: no message");

    // Also when the thread only holds its registration.
    let coordinator = Coordinator::new();
    let registration = coordinator.register("holder");
    let thread = thread::spawn(move || {
        let _held = registration;
        panic!("unwinds through it");
    });
    thread.join().expect_err("it panicked");
    let error = coordinator.join(NONE).expect_err("it was reported");
    assert!(error.to_string().starts_with("thread 'holder' panicked"), "{error}");
}

#[test]
fn a_name_with_a_zero_in_it_is_no_panic() {
    let coordinator = Coordinator::new();
    let body = |_: &Coordinator| -> Result<(), io::Error> { Ok(()) };
    coordinator.spawn("odd\0name", body).expect("a thread can be started");
    coordinator.join(LONG).expect("it has ended");
}

#[test]
fn callbacks_run_at_the_stop_once_and_not_when_taken_out() {
    let coordinator = Coordinator::new();
    let log = Log::default();
    let note = |text: &'static str| {
        let log = log.clone();
        coordinator.on_stop(move || log.push(text))
    };
    let _kept = note("kept");
    drop(note("dropped"));
    assert_eq!(log.text(), "");
    coordinator.request_stop("enough");
    coordinator.request_stop_with_error("more");
    assert_eq!(log.text(), "kept");
    let _late = note("late");
    assert_eq!(log.text(), "kept late");
}

#[test]
fn a_callback_that_is_taken_out_during_the_stop_is_not_called_after_it() {
    let coordinator = Coordinator::new();
    let log = Log::default();
    let second = Arc::new(Mutex::new(None));
    let taken = Arc::clone(&second);
    let _first = coordinator.on_stop(move || drop(taken.lock().expect("unused").take()));
    let called = log.clone();
    *second.lock().expect("unused") = Some(coordinator.on_stop(move || called.push("second")));
    coordinator.request_stop("enough");
    assert_eq!(log.text(), "");
}

#[test]
fn a_callback_may_use_the_coordinator_and_may_panic() {
    let coordinator = Coordinator::new();
    let inner = coordinator.clone();
    let _guard = coordinator.on_stop(move || {
        assert!(inner.should_stop());
        panic!("in the callback");
    });
    coordinator.request_stop("enough");
    let error = coordinator.join(NONE).expect_err("the panic was reported");
    assert_eq!(error.to_string(), "thread 'on_stop callback' panicked: in the callback");
}

#[test]
fn the_end_of_a_run_is_told_also_while_a_session_is_replaced() {
    // the callbacks of a stop have been called for the lost session already.
    let coordinator = Coordinator::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, asked) = (Arc::clone(&seen), coordinator.clone());
    let _guard = coordinator.on_stop(move || {
        log.lock().expect("no test panics with it").push(asked.is_ending());
    });
    let lost = RunError::recoverable("the line was cut");
    assert!(matches!(coordinator.request_stop_with_error(lost), Reported::First));
    assert!(coordinator.should_stop() && !coordinator.is_ending());
    coordinator.request_stop("enough");
    coordinator.request_stop("again");
    assert_eq!(*seen.lock().expect("no test panics with it"), [false, true]);
}
