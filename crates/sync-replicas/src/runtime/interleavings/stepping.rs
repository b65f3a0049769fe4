//! A step is made once, published whole, and told to whom it concerns (P-11, P-13, R-29).

use super::*;
use crate::sync::AtomicBool;

#[test]
fn of_three_pushes_two_make_the_step() {
    // two of three; the last to come is accepted for the next step or stale
    check(|| {
        let shared = start(2, 3);
        let mut third = join(&shared, 2);
        let others = [0, 1].map(|number| {
            let mut replica = join(&shared, number);
            spawn(move || drop(turn(&mut replica).expect("nobody is overdue")))
        });
        drop(turn(&mut third).expect("nobody is overdue"));
        for other in others {
            other.join().expect("it ends");
        }
        assert_eq!(step(&shared), 1);
        let totals = shared.totals();
        assert_eq!(totals.accepted + totals.stale, 3);
        assert!(totals.accepted >= 2, "{totals:?}");
    });
}

#[test]
fn a_reader_meets_whole_steps_in_order() {
    // P-11, R-29: with and without locking
    for locking in [true, false] {
        check(move || {
            let shared = assemble(1, 1, |b| b.use_locking(locking), UpdateThread::LastPusher);
            let mut replica = join(&shared, 0);
            let chief = spawn(move || [(); 2].map(|()| contribute(&mut replica)));
            let mut last = 0;
            for _ in 0..2 {
                let snapshot = shared.snapshot();
                let step = snapshot.global_step.get();
                assert!(step >= last, "step {step} after {last}");
                for name in ["v", "w"] {
                    let value = snapshot.variables.vector(name).expect("it is there")[0];
                    assert_eq!(value, 4.0 - step as f32, "{name} at step {step}");
                }
                last = step;
            }
            chief.join().expect("it ends");
            assert_eq!(step(&shared), 2);
        });
    }
}

#[test]
fn a_token_of_a_step_comes_after_its_variables() {
    // a replica with a token of a step finds that step's variables, with and without locking
    for locking in [true, false] {
        check(move || {
            let shared = assemble(1, 2, |b| b.use_locking(locking), UpdateThread::LastPusher);
            let mut other = join(&shared, 1);
            let mut replica = join(&shared, 0);
            let chief = spawn(move || contribute(&mut replica));
            for _ in 0..2 {
                let step = other.next_step().expect("nobody is overdue").expect("it goes on");
                assert!(step.global_step().get() >= step.local_step().get());
            }
            chief.join().expect("it ends");
        });
    }
}

#[test]
fn a_superseded_replica_is_told_while_it_pauses() {
    // P-13
    check(|| {
        let shared = start(1, 2);
        let mut slow = join(&shared, 1);
        let mut fast = join(&shared, 0);
        let fast = spawn(move || contribute(&mut fast));
        let step = slow.next_step().expect("nobody is overdue").expect("it goes on");
        if step.local_step().get() == 0 {
            assert!(step.work().superseded.wait(FOR_GOOD));
        }
        drop(step);
        fast.join().expect("it ends");
    });
}

#[test]
fn a_step_that_closes_while_hooks_are_taken_out_is_made() {
    // P-1: no thread would look again
    check(|| {
        let shared = start(1, 1);
        let mut replica = join(&shared, 0);
        let pusher = spawn(move || contribute(&mut replica));
        shared.uninstall();
        pusher.join().expect("it ends");
        assert_eq!(step(&shared), 1);
    });
}

#[test]
fn a_runner_applies_what_closes_until_it_is_to_leave() {
    // the chief's runner, as in TensorFlow
    check(|| {
        let shared = assemble(1, 1, |builder| builder, UpdateThread::Runner);
        let leave = Arc::new(AtomicBool::new(false));
        let runner = spawn({
            let (shared, leave) = (Arc::clone(&shared), Arc::clone(&leave));
            move || {
                while shared.wait_due(&leave) {
                    shared.apply_due(None);
                }
            }
        });
        let mut replica = join(&shared, 0);
        contribute(&mut replica);
        // The token of step 1 comes only from the runner.
        drop(replica.next_step().expect("nobody is overdue").expect("it goes on"));
        leave.store(true, Ordering::Release);
        shared.wake_runner();
        runner.join().expect("it ends");
    });
}
