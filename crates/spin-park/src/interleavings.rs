//! A thread's signal under loom: no wake-up is lost, by `cargo xtask loom`.
//!
//! A thread that parks for ever is a deadlock here, which loom reports with the way to it.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use loom::thread::spawn;

use crate::signal::Signal;
use crate::sync::{Arc, AtomicU32, Ordering};

/// Runs a model in every interleaving within the bound on preemptions, and prints how many.
fn check(model: impl Fn() + Send + Sync + 'static) {
    // Not one of loom's: it goes on counting from one interleaving to the next.
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let current = std::thread::current();
    println!("interleavings {} {}", current.name().unwrap_or("?"), count.load(Ordering::Relaxed));
}

/// One thread waits until `wakers` threads have each added one, and woken it.
fn all_are_seen(wakers: u32) {
    check(move || {
        let signal = Signal::new();
        let done = Arc::new(AtomicU32::new(0));
        for _ in 0..wakers {
            let (signal, done) = (Arc::clone(&signal), Arc::clone(&done));
            spawn(move || {
                // Relaxed: the signal itself must carry it over.
                done.fetch_add(1, Ordering::Relaxed);
                signal.wake_by_ref();
            });
        }
        while done.load(Ordering::Relaxed) < wakers {
            signal.wait();
        }
    });
}

#[test]
fn a_wake_up_is_not_lost() {
    all_are_seen(1);
}

#[test]
fn nor_is_either_of_two() {
    all_are_seen(2);
}
