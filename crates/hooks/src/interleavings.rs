//! The coordinator and the events under loom: every interleaving of a few threads, by
//! `cargo xtask loom`.
//!
//! No time passes here, so a wait that no thread wakes is a deadlock, which loom reports with the
//! way to it. The threads are loom's, registered by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::thread::spawn;

use crate::{Coordinator, JoinError, Readiness, Reported, RunError, StepWatch};

const FOR_GOOD: Duration = Duration::MAX;

/// Runs a model in every interleaving within the bound on preemptions, and prints how many.
fn check(model: impl Fn(Coordinator) + Send + Sync + 'static) {
    // Not one of loom's: it goes on counting from one interleaving to the next.
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model(Coordinator::new());
    });
    let current = std::thread::current();
    println!("interleavings {} {}", current.name().unwrap_or("?"), count.load(Ordering::Relaxed));
}

#[test]
fn a_stop_wakes_everybody() {
    // P-1
    check(|coordinator| {
        let waiters = [(); 2].map(|()| {
            let coordinator = coordinator.clone();
            spawn(move || coordinator.wait_for_stop(FOR_GOOD))
        });
        coordinator.request_stop("enough");
        for waiter in waiters {
            assert!(waiter.join().expect("it ends"));
        }
    });
}

#[test]
fn of_two_errors_one_wins() {
    //
    check(|coordinator| {
        let reporters = ["one", "other"].map(|error| {
            let coordinator = coordinator.clone();
            spawn(move || {
                let report = coordinator.request_stop_with_error(RunError::fatal(error));
                matches!(report, Reported::First)
            })
        });
        assert!(coordinator.wait_for_stop(FOR_GOOD));
        let firsts = reporters.map(|reporter| reporter.join().expect("it ends"));
        assert_eq!(firsts.iter().filter(|&&first| first).count(), 1);
        assert!(coordinator.first_error().is_some());
    });
}

#[test]
fn a_join_waits_for_the_thread_and_has_its_error() {
    //
    check(|coordinator| {
        let registration = coordinator.register("replica");
        let replica = spawn(move || registration.run(|_| Err(RunError::fatal("broken"))));
        assert!(matches!(coordinator.join(FOR_GOOD), Err(JoinError::Failed(_))));
        replica.join().expect("it ends");
    });
}

#[test]
fn a_join_without_a_stop_waits_for_the_last_thread() {
    //
    check(|coordinator| {
        let threads = ["one", "other"].map(|name| {
            let registration = coordinator.register(name);
            spawn(move || drop(registration))
        });
        assert!(coordinator.join(FOR_GOOD).is_ok());
        for thread in threads {
            thread.join().expect("it ends");
        }
    });
}

#[test]
fn a_callback_hears_of_the_stop_whenever_it_comes() {
    // P-1: before, during or after its registration
    check(|coordinator| {
        let heard = std::sync::Arc::new(AtomicUsize::new(0));
        let stopper = spawn({
            let coordinator = coordinator.clone();
            move || coordinator.request_stop("enough")
        });
        let theirs = std::sync::Arc::clone(&heard);
        let guard = coordinator.on_stop(move || {
            theirs.fetch_add(1, Ordering::Relaxed);
        });
        stopper.join().expect("it ends");
        assert!(heard.load(Ordering::Relaxed) >= 1);
        drop(guard);
    });
}

#[test]
fn a_wait_for_a_step_ends_with_the_step() {
    //
    check(|coordinator| {
        let watch = StepWatch::new(0);
        let chief = spawn({
            let watch = watch.clone();
            move || watch.publish(1)
        });
        assert!(watch.wait_until(1, &coordinator, FOR_GOOD));
        chief.join().expect("it ends");
    });
}

#[test]
fn a_wait_for_a_step_ends_with_the_stop() {
    // P-1
    check(|coordinator| {
        let stopper = spawn({
            let coordinator = coordinator.clone();
            move || coordinator.request_stop("enough")
        });
        assert!(!StepWatch::new(0).wait_until(1, &coordinator, FOR_GOOD));
        stopper.join().expect("it ends");
    });
}

#[test]
fn whoever_waits_for_the_variables_is_woken_when_they_are_ready() {
    //
    check(|coordinator| {
        let readiness = Readiness::new(["weights", "bias"]);
        let replicas = [(); 2].map(|()| {
            let (readiness, coordinator) = (readiness.clone(), coordinator.clone());
            spawn(move || readiness.wait(&coordinator, FOR_GOOD))
        });
        readiness.publish("weights");
        readiness.publish("bias");
        for replica in replicas {
            assert!(replica.join().expect("it ends"));
        }
    });
}
