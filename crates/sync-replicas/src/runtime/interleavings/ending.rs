//! A stop, a restore and the end of the clock wake all replicas that they concern (P-1, P-2, P-9).

use super::*;

fn stop(shared: &Inside) {
    shared.stop(StopReason::Requested("enough".to_owned()));
}

#[test]
fn a_stop_ends_every_wait_for_a_token() {
    // P-1: with a third replica that has not pushed, no replica gets one
    check(|| {
        let shared = start(3, 3);
        let third = join(&shared, 2);
        let waiters = [0, 1].map(|number| {
            let mut replica = join(&shared, number);
            contribute(&mut replica);
            spawn(move || turn(&mut replica).expect("nobody is overdue"))
        });
        stop(&shared);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("it ends"), None);
        }
        drop(third);
    });
}

#[test]
fn a_stop_ends_the_pause_of_a_step() {
    // P-1
    check(|| {
        let shared = start(2, 2);
        let mut replica = join(&shared, 0);
        let pausing = spawn(move || {
            let step = replica.next_step().expect("nobody is overdue");
            step.is_none_or(|step| step.work().superseded.wait(FOR_GOOD))
        });
        stop(&shared);
        assert!(pausing.join().expect("it ends"));
    });
}

#[test]
fn a_stop_ends_the_runner() {
    // P-1
    check(|| {
        let shared = assemble(1, 1, |builder| builder, UpdateThread::Runner);
        let stay = crate::sync::AtomicBool::new(false);
        let runner = spawn({
            let shared = Arc::clone(&shared);
            move || shared.wait_due(&stay)
        });
        stop(&shared);
        assert!(!runner.join().expect("it ends"));
    });
}

#[test]
fn a_restore_wakes_whoever_waits_and_tells_it() {
    // P-9
    check(|| {
        let shared = start(2, 2);
        let mut replica = join(&shared, 0);
        contribute(&mut replica);
        let waiter = spawn(move || turn(&mut replica));
        shared.restart(accum_core::GlobalStep::new(7));
        assert!(matches!(waiter.join().expect("it ends"), Err(WaitError::Refused(_))));
        assert_eq!(step(&shared), 7);
    });
}

#[test]
fn a_restore_ends_the_pause_of_a_step() {
    // P-9, P-13
    check(|| {
        let shared = start(2, 2);
        let mut replica = join(&shared, 0);
        let step = replica.next_step().expect("nobody is overdue").expect("it goes on");
        let superseded = step.work().superseded.clone();
        let pausing = spawn(move || superseded.wait(FOR_GOOD));
        shared.restart(accum_core::GlobalStep::new(7));
        assert!(pausing.join().expect("it ends"));
        drop(step);
    });
}

#[test]
fn the_clock_ends_with_its_trainer() {
    // P-1: loom waits for the clock's thread, which must not sleep on
    check(|| {
        let shared = start(1, 1);
        let clock = Timekeeper::start(Arc::downgrade(&shared)).expect("a thread");
        // In the first try the clock ticks before its end: loom reverses orders that it has seen.
        loom::thread::yield_now();
        drop(clock);
    });
}
