//! A replica that waits for a token gets it, however it comes (R-20, P-5).

use super::*;

/// Replica 0 has pushed and waits for its next token, in a thread that then contributes once more.
fn waits(shared: &Inside) -> JoinHandle<()> {
    let mut replica = join(shared, 0);
    contribute(&mut replica);
    spawn(move || contribute(&mut replica))
}

#[test]
fn the_push_that_closes_the_step_wakes_the_one_that_waits() {
    check(|| {
        let shared = start(2, 2);
        let mut other = join(&shared, 1);
        let mut replica = join(&shared, 0);
        contribute(&mut replica);
        let waiter = spawn(move || turn(&mut replica).expect("nobody is overdue").is_some());
        contribute(&mut other);
        assert!(waiter.join().expect("it ends"));
        assert_eq!(step(&shared), 1);
    });
}

#[test]
fn a_token_given_back_with_its_step_goes_to_the_one_that_waits() {
    // P-2, P-5: a step that is dropped; its replica takes part again
    check(|| {
        let shared = start(2, 2);
        let mut other = join(&shared, 1);
        let waiter = waits(&shared);
        drop(other.next_step().expect("nobody is overdue"));
        waiter.join().expect("it ends");
        assert_eq!(step(&shared), 1);
    });
}

#[test]
fn a_leavers_token_goes_to_the_one_that_waits() {
    // P-2: a handle that is dropped
    check(|| {
        let shared = start(2, 2);
        let other = join(&shared, 1);
        let waiter = waits(&shared);
        drop(other);
        waiter.join().expect("it ends");
        assert_eq!(step(&shared), 1);
    });
}

#[test]
fn a_step_timeout_gives_the_token_to_the_one_that_waits() {
    // P-28: replica 1 hangs; the clock is ours
    check(|| {
        let limit = StepTimeout::After(Duration::from_secs(60));
        let shared = assemble(2, 2, |it| it.step_timeout(limit), UpdateThread::LastPusher);
        let stuck = join(&shared, 1);
        let waiter = waits(&shared);
        // Until it waits there is no token out but the stuck one's.
        let later = Duration::from_secs(3_600);
        shared.event(|core, _, effects| core.tick(later, effects));
        waiter.join().expect("it ends");
        assert_eq!(step(&shared), 1);
        drop(stuck);
    });
}

#[test]
fn a_wait_that_is_dropped_keeps_its_place_and_its_token() {
    check(|| {
        let shared = start(1, 2);
        let mut other = join(&shared, 1);
        let mut replica = join(&shared, 0);
        contribute(&mut replica);
        let waiter = spawn(move || {
            // Polled once and dropped; the second wait has what the first was given.
            let waker = std::task::Waker::noop();
            let mut wait = Box::pin(replica.next_step_async());
            let polled = wait.as_mut().poll(&mut std::task::Context::from_waker(waker));
            drop(polled);
            drop(wait);
            turn(&mut replica).expect("nobody is overdue").is_some()
        });
        drop(turn(&mut other));
        assert!(waiter.join().expect("it ends"));
    });
}
