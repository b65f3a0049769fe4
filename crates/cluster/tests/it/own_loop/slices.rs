//! Waits in slices, for steps and for what becomes of a push; and a push that nobody waits for.

use std::task::Poll;
use std::time::Duration;

use cluster::{ClusterError, ClusterPush, ClusterReplica, ClusterStep};
use sync_replicas::Hooks;
use sync_replicas::engine::Outcome;

use super::{Rig, SOON, alone, begin_push_borrowed, compute};

/// Waits in slices of no length at all; also how many there were.
fn in_slices(mut push: ClusterPush<f32>) -> (Option<Outcome>, u64) {
    let mut slices = 0;
    loop {
        match push.wait_within(Duration::ZERO).expect("servers are there") {
            Poll::Pending => slices += 1,
            Poll::Ready(outcome) => {
                let error = push.wait_within(Duration::ZERO).expect_err("it was said");
                assert!(matches!(error, ClusterError::StepOver), "{error}");
                return (outcome, slices);
            }
        }
    }
}

/// P-2: waits of no length at all, and every batch comes once.
#[test]
fn a_wait_in_slices_loses_no_token() {
    let rig = &Rig::new(2, 1);
    let steps = 20;
    std::thread::scope(|scope| {
        for index in 0..2 {
            scope.spawn(move || rig.serve(index, Hooks::new().stop_at_step(steps)));
        }
        let mut replica = rig.replica(0, Hooks::new().stop_at_step(steps));
        let (mut numbers, mut slices, mut of_pushes) = (Vec::new(), 0_u64, 0);
        loop {
            match replica.next_step_within(Duration::ZERO).expect("servers are there") {
                Poll::Pending => slices += 1,
                Poll::Ready(None) => break,
                Poll::Ready(Some(step)) => {
                    numbers.push(step.number());
                    let computed = compute(&step);
                    let push = match numbers.len() % 2 {
                        0 => begin_push_borrowed(step),
                        _ => step.begin_push(computed).expect("it fits"),
                    };
                    of_pushes += in_slices(push).1;
                }
            }
        }
        assert!(slices > 0 && of_pushes > 0, "it never waited: {slices}, {of_pushes}");
        // One more where the end was told after its token.
        let most = steps as u64 + 1;
        assert!((0..most).eq(numbers.iter().copied()) || (0..most - 1).eq(numbers), "{most}");
        assert!(replica.next_step().expect("the end stays").is_none());
        let report = replica.finish().expect("it ends in peace");
        let got = report.variables.expect("it fetched them").sha256();
        assert_eq!((got, report.counts.superseded), (alone(1, steps), 0));
        assert_eq!(report.counts.accepted, steps as u64);
    });
}

/// P-2: what was pushed counts, as long as its replica goes on.
#[test]
fn a_push_that_nobody_waits_for_is_heard_of_with_the_next_step() {
    let rig = &Rig::new(2, 1);
    std::thread::scope(|scope| {
        for index in 0..2 {
            scope.spawn(move || rig.serve(index, Hooks::new()));
        }
        let mut replica = rig.replica(0, Hooks::new());
        let begin = |step: ClusterStep<f32>| {
            let computed = compute(&step);
            step.begin_push(computed).expect("it fits")
        };
        let soon = |replica: &mut ClusterReplica<f32>| match replica
            .next_step_within(SOON)
            .expect("servers are there")
        {
            Poll::Ready(step) => step.expect("it goes on"),
            Poll::Pending => panic!("it hears of no end of its push"),
        };
        drop(begin(soon(&mut replica)));
        let second = soon(&mut replica);
        assert_eq!((second.number(), second.global_step().get()), (1, 1));
        let late = begin(second);
        let third = soon(&mut replica);
        assert_eq!(third.global_step().get(), 2);
        let error = late.wait().expect_err("the next step was asked for");
        assert!(matches!(error, ClusterError::StepOver), "{error}");
        drop(third);
        let report = replica.finish().expect("it leaves in peace");
        assert_eq!(report.counts.accepted, 2);
    });
}
