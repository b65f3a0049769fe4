//! How sessions start: restore, initialise, wait.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hooks::{
    BoxError, CheckpointSaver, Coordinator, MonitoredSession, Readiness, RunError, Session,
    SessionManager, StartError, StepReport, StepWatch, StopAtStep,
};

/// One shared variable `v`, one local variable `w`, and a step.
#[derive(Debug, Default, PartialEq)]
struct Model {
    v: Option<i64>,
    w: Option<i64>,
    step: i64,
}

impl Session for Model {
    fn run(&mut self) -> Result<StepReport, RunError> {
        self.step += 1;
        Ok(StepReport::new(self.step))
    }

    fn global_step(&self) -> i64 {
        self.step
    }

    fn close(&mut self) {}
}

fn names(missing: &[(&str, bool)]) -> Vec<String> {
    let missing = missing.iter().filter(|(_, ready)| !ready);
    missing.map(|(name, _)| (*name).to_owned()).collect()
}

fn global(model: &Model) -> Vec<String> {
    names(&[("v", model.v.is_some())])
}

fn all(model: &Model) -> Vec<String> {
    names(&[("v", model.v.is_some()), ("w", model.w.is_some())])
}

fn make() -> Result<Model, BoxError> {
    Ok(Model::default())
}

fn init_v(model: &mut Model) -> Result<(), BoxError> {
    model.v = Some(1);
    Ok(())
}

/// Copies the shared variable, which therefore has to be there.
fn init_w(model: &mut Model) -> Result<(), BoxError> {
    model.w = Some(model.v.ok_or("uninitialised value v")?);
    Ok(())
}

fn saved(model: &mut Model) -> Result<Option<i64>, BoxError> {
    (model.v, model.step) = (Some(7), 40);
    Ok(Some(40))
}

fn nothing_saved(_: &mut Model) -> Result<Option<i64>, BoxError> {
    Ok(None)
}

fn broken(_: &mut Model) -> Result<Option<i64>, BoxError> {
    Err("truncated".into())
}

type Manager = SessionManager<'static, Model>;

/// The shared variable, the local one, and the step restored.
type Prepared = (Option<i64>, Option<i64>, Option<i64>);

#[track_caller]
fn check_prepare(manager: Manager, expected: Result<Prepared, &str>) {
    let mut manager = manager;
    let prepared = manager.prepare_session();
    let prepared = prepared.map(|(model, restored)| (model.v, model.w, restored));
    assert_eq!(prepared.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
}

#[test]
fn the_chief_restores_or_initialises() {
    // PrepareSessionSucceeds, PrepareSessionFails
    let new = || SessionManager::new(make);
    check_prepare(new().init(init_v).ready(global), Ok((Some(1), None, None)));
    check_prepare(new().checkpoint(saved).ready(global), Ok((Some(7), None, Some(40))));
    check_prepare(new().checkpoint(saved).init(init_v), Ok((Some(7), None, Some(40))));
    check_prepare(new().checkpoint(nothing_saved).init(init_v), Ok((Some(1), None, None)));
    let nothing = "nothing to start from: no checkpoint was found and no initialiser was given";
    check_prepare(new(), Err(nothing));
    check_prepare(new().checkpoint(nothing_saved), Err(nothing));
    check_prepare(
        new().checkpoint(broken).init(init_v),
        Err("the checkpoint could not be restored: truncated"),
    );
    check_prepare(
        new().init(|_: &mut Model| Err("no memory".into())),
        Err("initialising failed: no memory"),
    );
    check_prepare(
        SessionManager::new(|| Err("no peer".into())).init(init_v),
        Err("the session could not be made: no peer"),
    );
}

#[test]
fn local_variables_come_after_the_shared_ones() {
    // PrepareSession and RecoverSession with a local initialiser
    let new = || SessionManager::new(make);
    check_prepare(
        new().init(init_v).local_init(global, init_w).ready(all),
        Ok((Some(1), Some(1), None)),
    );
    check_prepare(
        new().checkpoint(saved).local_init(global, init_w).ready(all),
        Ok((Some(7), Some(7), Some(40))),
    );
    // The local initialiser alone is something to start from, but here it may not run.
    check_prepare(
        new().local_init(global, init_w).ready(all),
        Err("not ready after the start, uninitialised: v"),
    );
    // A check that allows it too early.
    check_prepare(
        new().local_init(|_: &Model| Vec::new(), init_w).ready(all),
        Err("local initialising failed: uninitialised value v"),
    );
    // The local variable is never initialised.
    check_prepare(
        new().init(init_v).ready(all),
        Err("not ready after the start, uninitialised: w"),
    );
    check_prepare(
        new().init(|_: &mut Model| Ok(())).ready(all),
        Err("not ready after the start, uninitialised: v, w"),
    );
}

#[test]
fn recovering_never_initialises_what_is_shared() {
    // RecoverSession
    #[track_caller]
    fn check(manager: Manager, v: Option<i64>, w: Option<i64>, ready: bool) {
        let mut manager = manager;
        let (model, is_ready) = manager.recover_session().expect("nothing fails");
        assert_eq!((model.v, model.w, is_ready), (v, w, ready));
    }
    let new = || SessionManager::new(make).init(init_v).ready(global);
    check(new().checkpoint(saved), Some(7), None, true);
    check(new().checkpoint(nothing_saved), None, None, false);
    check(new(), None, None, false);
    // Nothing is missed, but nothing was restored either.
    check(SessionManager::new(make).checkpoint(nothing_saved), None, None, false);
    // The local initialiser runs where it may, also without a checkpoint.
    let free = |model: &mut Model| -> Result<(), BoxError> {
        model.w = Some(2);
        Ok(())
    };
    check(new().local_init(|_| Vec::new(), free), None, Some(2), false);
    check(new().local_init(global, free), None, None, false);
}

#[test]
fn waiting_past_the_deadline_names_what_is_missing() {
    // WaitForSession
    let readiness = Readiness::new(["a", "b", "c"]);
    readiness.publish("b");
    readiness.publish("unknown");
    let mut manager = SessionManager::new(make);
    let timeout = Duration::from_millis(1);
    let error = manager
        .wait_for_session(&readiness, &Coordinator::new(), timeout)
        .expect_err("nobody publishes");
    let StartError::DeadlineExceeded { missing, .. } = &error else {
        panic!("unexpected: {error}");
    };
    assert_eq!(missing, &["a", "c"]);
    assert!(error.to_string().contains("uninitialised: a, c"), "{error}");
}

#[test]
fn others_wait_for_the_chief() {
    let readiness = Readiness::new(["v"]);
    let coordinator = Coordinator::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            SessionManager::new(|| Ok(Model { v: Some(3), ..Model::default() }))
                .local_init(global, init_w)
                .ready(all)
                .wait_for_session(&readiness, &coordinator, Duration::MAX)
        });
        readiness.publish("v");
        let model = waiting.join().expect("no panic").expect("the chief published");
        assert_eq!((model.v, model.w), (Some(3), Some(3)));
    });
    // Published as ready, and yet it is not.
    let error = SessionManager::new(make)
        .ready(global)
        .wait_for_session(&readiness, &coordinator, Duration::MAX)
        .expect_err("v is missing");
    assert!(matches!(error, StartError::NotReady { missing } if missing == ["v"]));
}

// P-1: neither wait has a deadline, so only the stop ends them.
#[test]
fn a_stop_wakes_who_waits_for_a_start() {
    let readiness = Readiness::new(["v"]);
    let watch = StepWatch::new(0);
    let coordinator = Coordinator::new();
    let (sender, started) = mpsc::channel();
    thread::scope(|scope| {
        let (also, watch) = (sender.clone(), &watch);
        let (readiness, coordinator) = (&readiness, &coordinator);
        let start = scope.spawn(move || {
            sender.send(()).expect("the test listens");
            SessionManager::new(make).wait_for_session(readiness, coordinator, Duration::MAX)
        });
        let step = scope.spawn(move || {
            also.send(()).expect("the test listens");
            watch.wait_until(5, coordinator, Duration::MAX)
        });
        assert_eq!(started.iter().take(2).count(), 2);
        coordinator.request_stop("enough");
        let error = start.join().expect("no panic").expect_err("stopped");
        assert!(matches!(error, StartError::Stopped));
        assert!(matches!(RunError::from(error), RunError::Stopped));
        assert!(!step.join().expect("no panic"));
    });
}

/// A stop while the session is still waited for is a clean end of a run that never was.
#[test]
fn a_stop_before_the_session_exists_is_a_clean_end() {
    let readiness = Readiness::new(["v"]);
    let coordinator = Coordinator::new();
    coordinator.request_stop("enough");
    let mut manager = SessionManager::new(make);
    let mut session = MonitoredSession::builder(|coordinator| {
        Ok(manager.wait_for_session(&readiness, coordinator, Duration::MAX)?)
    })
    .coordinator(coordinator)
    .start()
    .expect("a stop is no error");
    assert!(session.should_stop());
    assert!(session.session().is_none());
    assert_eq!(session.run_until_stopped().expect("a clean end"), None);
}

/// Stop at 3, then at 5, through a real file: the second run goes on where the first ended.
#[test]
fn a_second_run_goes_on_from_the_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("step");
    let run = |last_step| {
        let restore = |model: &mut Model| -> Result<Option<i64>, BoxError> {
            if !file.exists() {
                return Ok(None);
            }
            model.step = fs::read_to_string(&file)?.parse()?;
            Ok(Some(model.step))
        };
        let save = |_: &mut Model, step: i64| Ok(fs::write(&file, step.to_string())?);
        let mut manager = SessionManager::new(make).checkpoint(restore).init(init_v);
        let mut starts = Vec::new();
        let mut session = MonitoredSession::builder(|_| {
            let (model, _) = manager.prepare_session()?;
            starts.push(model.step);
            Ok(model)
        })
        .hook(StopAtStep::last_step(last_step))
        .hook(CheckpointSaver::at_end(save))
        .start()
        .expect("nothing fails");
        let last = session.run_until_stopped().expect("nothing fails");
        drop(session);
        (starts, last.map(|report| report.global_step))
    };
    assert_eq!(run(3), (vec![0], Some(3)));
    assert_eq!(run(5), (vec![3], Some(5)));
    // Already there: no step is run past the limit.
    assert_eq!(run(5), (vec![5], None));
}
