//! Threads that begin together, timed from the first start to the last end.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Gives each thread one of `states`, lets all begin at once, and says how long they took.
///
/// One state needs no thread: the caller's own does it.
///
/// # Panics
/// When one of the threads does.
pub fn together<S: Send>(states: &mut [S], work: impl Fn(&mut S) + Sync) -> Duration {
    if let [state] = states {
        let begun = Instant::now();
        work(state);
        return begun.elapsed();
    }
    let barrier = Barrier::new(states.len());
    let (work, barrier) = (&work, &barrier);
    // Each thread reads the clock itself: whoever waits for them may be woken late.
    let spans: Vec<_> = thread::scope(|scope| {
        let timed = |state| {
            move || {
                barrier.wait();
                let begun = Instant::now();
                work(state);
                (begun, Instant::now())
            }
        };
        let threads: Vec<_> = states.iter_mut().map(|state| scope.spawn(timed(state))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    let begun = spans.iter().map(|(begun, _)| *begun).min().expect("there is a thread");
    let ended = spans.iter().map(|(_, ended)| *ended).max().expect("there is a thread");
    ended - begun
}
