//! The usual hooks, each on a scripted session.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use hooks::{
    At, BoxError, CheckpointSaver, Coordinator, FinalOp, Hook, Logging, MonitoredSession, NanGuard,
    NanLoss, Rate, RunContext, RunError, Session, SessionError, StepCounter, StepReport, StepWatch,
    StopAtStep, SummarySaver, Tracker, WaitForGlobalStep,
};

use crate::support::{Log, Scripted, Trace, scripts};

type Boxed<'h> = Box<dyn Hook<Scripted> + 'h>;
type Ended = Result<Option<i64>, SessionError>;

/// Runs one scripted session that starts at `start`, until it ends, with these hooks.
fn run<'h, I>(script: &str, start: i64, hooks: I) -> Ended
where
    I: IntoIterator<Item = Boxed<'h>>,
{
    let log = Log::default();
    let mut once = Some(Scripted::new(script, &log).at(start));
    let create = move |_: &Coordinator| once.take().ok_or_else(|| RunError::fatal("only once"));
    let mut session = MonitoredSession::builder(create).hooks(hooks).start()?;
    Ok(session.run_until_stopped()?.map(|report| report.global_step))
}

fn boxed<'h>(hook: impl Hook<Scripted> + 'h) -> Boxed<'h> {
    Box::new(hook)
}

#[track_caller]
fn check_stop(hook: StopAtStep, start: i64, last: Option<i64>) {
    let ended = run("ssssssss", start, [boxed(hook.clone())]);
    assert_eq!(ended.expect("a stop is no error"), last, "{hook:?} from {start}");
}

#[test]
fn stop_at_step() {
    // StopAtStep, last_step 3 then 5, num_steps 3 then 4 more
    check_stop(StopAtStep::last_step(3), 0, Some(3));
    check_stop(StopAtStep::last_step(5), 3, Some(5));
    check_stop(StopAtStep::last_step(3), 3, None);
    check_stop(StopAtStep::last_step(3), 9, None);
    check_stop(StopAtStep::num_steps(3), 0, Some(3));
    check_stop(StopAtStep::num_steps(4), 3, Some(7));
    check_stop(StopAtStep::num_steps(0), 3, None);
    check_stop(StopAtStep::num_steps(i64::MAX), 3, Some(11));
}

/// The steps to go are counted from the first session, not again from a recovered one.
#[test]
fn stop_at_step_counts_over_recoveries() {
    let log = Log::default();
    let mut session = MonitoredSession::builder(scripts(&["sl", "ssss"], &log))
        .hook(StopAtStep::num_steps(3))
        .start()
        .expect("nothing fails");
    let last = session.run_until_stopped().expect("nothing fails");
    assert_eq!(last.map(|report| report.global_step), Some(3));
}

#[test]
fn intervals_and_lengths_that_make_no_sense_are_refused_at_the_start() {
    #[track_caller]
    fn check(hook: Boxed<'_>, message: &str) {
        let error = run("s", 0, [hook]).expect_err("refused");
        assert!(error.to_string().ends_with(message), "{error}");
    }
    let zero = "expected an interval of at least 1 step, got 0; leave the hook out to turn it off";
    check(boxed(Logging::every(0)), zero);
    check(boxed(StepCounter::every(0)), zero);
    check(boxed(CheckpointSaver::every(0, |_: &mut Scripted, _| Ok(()))), zero);
    check(boxed(SummarySaver::every(0, Told(&mut Vec::new(), false))), zero);
    check(boxed(StopAtStep::num_steps(-1)), "expected a number of steps of at least 0, got -1");
}

#[test]
fn step_counter_measures_by_the_clock_it_is_given() {
    let rates = |steps, seconds_a_step: u64| {
        let reads = AtomicU64::new(0);
        let mut rates = Vec::new();
        let clock = || {
            let read = reads.fetch_add(1, Ordering::Relaxed);
            Duration::from_secs(read * seconds_a_step)
        };
        let hook = StepCounter::every(steps)
            .clock(clock)
            .sink(|rate: Rate| rates.push((rate.global_step, rate.steps_per_second)));
        run("sssss", 10, [boxed(hook)]).expect("nothing fails");
        rates
    };
    // The clock is read at the start and at each due step.
    assert_eq!(rates(2, 4), [(12, 0.5), (14, 0.5)]);
    assert_eq!(rates(5, 2), [(15, 2.5)]);
    assert_eq!(rates(2, 0), [], "a clock that stands still gives no rate");
}

#[track_caller]
fn check_logged(script: &str, every: u64, at_end: bool, expected: &[i64]) {
    let mut logged = Vec::new();
    let hook = Logging::every(every).sink(|report: &StepReport| logged.push(report.global_step));
    let hook = if at_end { hook.at_end() } else { hook };
    run(script, 0, [boxed(hook)]).expect("nothing fails");
    assert_eq!(logged, expected, "{script} every {every}, at the end: {at_end}");
}

#[test]
fn logging() {
    check_logged("sssss", 1, false, &[1, 2, 3, 4, 5]);
    check_logged("ssssss", 2, false, &[1, 3, 5]);
    check_logged("ssssss", 2, true, &[1, 3, 5, 6]);
    check_logged("sssss", 2, true, &[1, 3, 5]);
    check_logged("sss", 10, true, &[1, 3]);
    check_logged("", 1, true, &[]);
}

#[test]
fn nan_guard_names_the_step() {
    let error = run("ssns", 4, [boxed(NanGuard::new())]).expect_err("the loss is NaN");
    let SessionError::Hook { source, .. } = &error else { panic!("unexpected: {error}") };
    let nan: Option<&NanLoss> = source.downcast_ref();
    assert_eq!(nan.map(|nan| nan.global_step), Some(7));
    assert!(error.to_string().contains("the loss was NaN at global step 7"), "{error}");

    let error = run("ssis", 4, [boxed(NanGuard::new())]).expect_err("the loss is infinite");
    assert!(error.to_string().contains("the loss was inf at global step 7"), "{error}");

    let ended = run("ssns", 4, [boxed(NanGuard::stop_without_error())]);
    assert_eq!(ended.expect("asked not to fail"), Some(7));
    assert_eq!(run("ss", 0, [boxed(NanGuard::new())]).expect("no NaN"), Some(2));
}

#[derive(Clone, Copy)]
enum Guard {
    None,
    Fails,
    Stops,
}

/// The steps that are saved; the saver comes before the guard, where it sees the NaN first.
#[track_caller]
fn check_saved(script: &str, every: Option<u64>, guard: Guard, expected: &[i64]) {
    let mut saved = Vec::new();
    let save = |session: &mut Scripted, step: i64| -> Result<(), BoxError> {
        assert_eq!(session.step, step);
        saved.push(step);
        Ok(())
    };
    let saver = match every {
        Some(steps) => CheckpointSaver::every(steps, save),
        None => CheckpointSaver::at_end(save),
    };
    let guard = match guard {
        Guard::None => None,
        Guard::Fails => Some(boxed(NanGuard::new())),
        Guard::Stops => Some(boxed(NanGuard::stop_without_error())),
    };
    let ended = run(script, 0, [boxed(saver)].into_iter().chain(guard));
    drop(ended);
    assert_eq!(saved, expected, "{script} every {every:?}");
}

#[test]
fn checkpoints_are_saved_and_never_after_a_nan() {
    check_saved("sssss", Some(2), Guard::None, &[2, 4, 5]);
    check_saved("ssss", Some(2), Guard::None, &[2, 4]);
    check_saved("sss", None, Guard::None, &[3]);
    check_saved("", Some(2), Guard::None, &[0]);
    // A run that failed leaves what there was.
    check_saved("sssx", Some(2), Guard::None, &[2]);
    check_saved("sssx", None, Guard::None, &[]);
    check_saved("ssn", Some(1), Guard::Fails, &[1, 2]);
    check_saved("ssi", Some(1), Guard::Fails, &[1, 2]);
    check_saved("ssn", Some(1), Guard::Stops, &[1, 2]);
    check_saved("ssn", None, Guard::Stops, &[]);
    check_saved("sns", Some(1), Guard::None, &[1, 3]);
}

#[test]
fn a_save_that_fails_fails_the_run() {
    let save = |_: &mut Scripted, _| Err("the disk is full".into());
    let error = run("ss", 0, [boxed(CheckpointSaver::every(1, save))]).expect_err("not saved");
    assert!(error.to_string().ends_with("the disk is full"), "{error}");
}

/// Writes down what it is told; where it is to fail it does so each time.
struct Told<'a>(&'a mut Vec<String>, bool);

impl Told<'_> {
    fn tell(&mut self, words: String) -> Result<(), BoxError> {
        self.0.push(words);
        if self.1 { Err("the disk is full".into()) } else { Ok(()) }
    }
}

impl Tracker for Told<'_> {
    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        self.tell(format!("{} {scalars:?}", at.step))
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        self.tell(format!("from {step}"))
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.tell("flush".to_owned())
    }
}

// R-34, P-29: a tracker is told of the first report and of each n-th, and ends no run.
#[test]
fn summary_saver() {
    #[track_caller]
    fn check(script: &str, fails: bool, expected: &[&str]) {
        let mut told = Vec::new();
        let saver = SummarySaver::every(3, Told(&mut told, fails));
        let ended = run(script, 6, [boxed(saver)]);
        assert_eq!(ended.is_ok(), !script.ends_with('x'));
        assert_eq!(told, expected, "{script}");
    }
    let one = |step: i64| format!("{step} [(\"loss\", 1.0)]");
    let (first, fourth) = (&*one(7), &*one(10));
    check("sssss", false, &["from 6", first, fourth, "flush"]);
    check("sssss", true, &["from 6", first, fourth, "flush"]);
    check("sssx", false, &["from 6", first]);
    check("", false, &["from 6", "flush"]);
}

/// Reports these steps.
struct Steps(VecDeque<i64>, i64);

impl Session for Steps {
    fn run(&mut self) -> Result<StepReport, RunError> {
        self.1 = self.0.pop_front().ok_or(RunError::EndOfInput)?;
        Ok(StepReport::new(self.1))
    }

    fn global_step(&self) -> i64 {
        self.1
    }

    fn close(&mut self) {}
}

// P-29: what was tracked of steps that are made again no longer counts.
#[test]
fn steps_that_are_taken_back_are_told_of() {
    #[track_caller]
    fn check(steps: &[i64], every: u64, expected: &[&str]) {
        let mut told = Vec::new();
        let mut once = Some(Steps(steps.iter().copied().collect(), 0));
        MonitoredSession::builder(|_| once.take().ok_or_else(|| RunError::fatal("only once")))
            .hook(SummarySaver::every(every, Told(&mut told, false)))
            .start()
            .and_then(|mut session| session.run_until_stopped())
            .expect("nothing fails");
        assert_eq!(told, expected, "{steps:?} every {every}");
    }
    check(&[1, 2], 1, &["from 0", "1 []", "2 []", "flush"]);
    check(&[1, 2, 2], 1, &["from 0", "1 []", "2 []", "from 1", "2 []", "flush"]);
    check(&[1, 2, 3, 4, 3, 5], 3, &["from 0", "1 []", "4 []", "from 2", "3 []", "flush"]);
    // Of a step that was not tracked nothing is to be taken back.
    check(&[1, 2, 3, 3, 4], 3, &["from 0", "1 []", "4 []", "flush"]);
}

#[test]
fn a_tracker_can_be_shared() {
    let mut told = Vec::new();
    let shared = Arc::new(Mutex::new(Told(&mut told, false)));
    let mut other: Box<dyn Tracker + '_> = Box::new(Arc::clone(&shared));
    run("s", 0, [boxed(SummarySaver::every(1, shared))]).expect("nothing fails");
    other.scalars(At::now(1), &[("accuracy", 0.5)]).expect("nothing fails");
    drop(other);
    assert_eq!(told, ["from 0", "1 [(\"loss\", 1.0)]", "flush", "1 [(\"accuracy\", 0.5)]"]);
}

#[test]
fn final_op_keeps_its_value_after_a_clean_end_only() {
    for (script, expected) in [("ss", Some(20)), ("sx", None)] {
        let (hook, value) = FinalOp::new(|session: &mut Scripted| Ok(session.step * 10));
        assert_eq!(value.take(), None);
        assert_eq!(run(script, 0, [boxed(hook)]).is_ok(), expected.is_some());
        assert_eq!((value.take(), value.take()), (expected, None));
    }
}

#[test]
fn wait_for_global_step_wakes_when_the_step_is_published() {
    let watch = StepWatch::new(0);
    let log = Log::default();
    thread::scope(|scope| {
        let (sender, waits) = mpsc::channel();
        let (watched, log) = (watch.clone(), log.clone());
        let published = log.clone();
        let waiter = scope.spawn(move || {
            let mut session = MonitoredSession::builder(|_| Ok(Scripted::new("ss", &log)))
                .hook(Trace::new("h", &log))
                .hook(WaitForGlobalStep::new(5, watched))
                .start()?;
            sender.send(()).expect("the test listens");
            session.run_until_stopped()
        });
        waits.recv().expect("it starts");
        for step in [3, 4, 5, 2] {
            published.push(format!("published {step}"));
            watch.publish(step);
        }
        waiter.join().expect("no panic").expect("nothing fails");
    });
    assert_eq!(watch.step(), 5, "a lower step changes nothing");
    let entries = log.entries();
    let place = |wanted| entries.iter().position(|entry| entry == wanted);
    assert!(place("published 5") < place("run"), "{entries:?}");
}

#[test]
fn wait_for_global_step_gives_way_to_a_stop() {
    let coordinator = Coordinator::new();
    let log = Log::default();
    let mut scripted = Scripted::new("s", &log);
    let mut hook = WaitForGlobalStep::new(5, StepWatch::new(0));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            hook.before_run(&mut scripted, &RunContext::new(&coordinator)).expect("no failure");
        });
        coordinator.request_stop("enough");
        waiter.join().expect("no panic");
    });
}
