//! Leases, limits, deaths (P-2, P-5, P-6, P-28): one dead or hung replica, and the others go on.

use std::collections::VecDeque;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stuck_replica_loses_its_lease_and_not_the_step() {
    // P-5: A = N = 2, replica 1 takes its token and is never heard of again
    let mut bench = Bench::joined(Settings { lease: Some(SECOND), ..settings(2, 2) });
    bench.turn(0);
    bench.now = SECOND;
    let (next, effects) = bench.event(|engine, now, out| engine.tick(now, out));
    assert_eq!(effects[0], expired(1, Expiry::Silent));
    assert!(matches!(&effects[1], Effect::Grant(grant) if grant.replica == id(0)));
    assert_eq!(next, Some(2 * SECOND), "the new holder's lease");
    bench.turn(0);
    assert_eq!(bench.step(), 1, "replica 0 went on alone");
    // It was only slow: its gradient is late, not lost, and it takes part again.
    assert!(matches!(bench.turn(1), Outcome::Stale { .. }));
    assert_eq!(bench.engine.tally(id(1)).map(|tally| tally.expired), Some(1));
}

#[test]
fn a_sign_of_life_keeps_the_lease() {
    let mut bench = Bench::joined(Settings { lease: Some(SECOND), ..settings(2, 2) });
    bench.now = SECOND / 2;
    let incarnation = bench.incarnations[1];
    let renewed = bench.event(|engine, now, _| engine.renew(id(1), incarnation, now)).0;
    assert_eq!(renewed, Ok(()));
    bench.now = SECOND;
    let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
    assert_eq!(effects, [expired(0, Expiry::Silent)], "only the silent one");
}

/// Replica 1 of two shows that it lives and pushes nothing more; when its token is taken back, and
/// the limit then. Replica 0 pushes a batch after each of these times.
#[track_caller]
fn check_hung(step_timeout: StepTimeout, took: &[u64], expected: Option<(u64, u64)>) {
    let lease = Some(4 * SECOND);
    let times = Settings { lease, step_timeout, step_deadline: None, ..settings(1, 2) };
    let mut bench = Bench::joined(times);
    let incarnations = [bench.incarnations[0], bench.incarnations[1]];
    let mut push_at: VecDeque<u64> = took
        .iter()
        .scan(0, |at, &it| {
            *at += it;
            Some(*at)
        })
        .collect();
    let mut got = None;
    for second in 1..=100 {
        bench.now = second * SECOND;
        for (replica, incarnation) in (0..).zip(incarnations) {
            let renewed =
                bench.event(|engine, now, _| engine.renew(id(replica), incarnation, now)).0;
            assert_eq!(renewed, Ok(()));
        }
        if push_at.pop_front_if(|at| *at == u64::from(second)).is_some() {
            assert!(bench.turn(0).is_accepted());
        }
        let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
        let one = |effect: &Effect| match effect {
            Effect::TokenExpired { replica, cause: Expiry::TimedOut { limit } }
                if *replica == id(1) =>
            {
                Some((u64::from(second), limit.as_secs()))
            }
            _ => None,
        };
        got = got.or(effects.iter().find_map(one));
    }
    assert_eq!(got, expected, "{step_timeout:?} after {took:?}");
}

#[test]
fn a_hung_replica_keeps_its_token_no_longer_than_the_step_timeout() {
    // P-28: signs of life do not help
    use StepTimeout::{After, Automatic, Never};
    check_hung(Never, &[1, 1, 1], None);
    check_hung(After(7 * SECOND), &[], Some((7, 7)));
    // Shorter than a lease, if one says so.
    check_hung(After(2 * SECOND), &[1, 1], Some((2, 2)));
    // First batches compile: before one has counted, no replica is late.
    check_hung(Automatic, &[], None);
    check_hung(Automatic, &[3], Some((30, 30)));
    // Ten times the median of 1, 1, 2, and not of the mean or the last.
    check_hung(Automatic, &[1, 1, 2], Some((10, 10)));
    check_hung(Automatic, &[5, 1, 1], Some((10, 10)));
    check_hung(Automatic, &[20, 20, 20], None);
}

#[test]
fn the_automatic_limit_is_a_lease_at_least() {
    // P-28
    let second = Settings { lease: Some(SECOND), ..settings(1, 2) };
    let mut bench = Bench::joined(second);
    assert_eq!(bench.engine.step_timeout(), None, "nothing has counted");
    bench.now = SECOND / 1000;
    bench.turn(0);
    assert_eq!(bench.engine.step_timeout(), Some(SECOND));
    // Without one a token is lent for ever, which this rule does not change.
    let mut bench = Bench::joined(Settings { lease: None, ..settings(1, 2) });
    bench.turn(0);
    assert_eq!(bench.engine.step_timeout(), None);
}

#[test]
fn what_comes_late_and_counts_raises_the_limit() {
    // P-28: all batches became slow at once; each loses its token once, and none after it
    let slow = Settings { lease: Some(SECOND), ..settings(1, 1) };
    let mut bench = Bench::joined(slow);
    let incarnation = bench.incarnations[0];
    let mut lost = Vec::new();
    for round in 0..100 {
        let seconds = if round < 8 { 1 } else { 60 };
        for _ in 0..seconds {
            bench.now += SECOND;
            bench
                .event(|engine, now, _| engine.renew(id(0), incarnation, now))
                .0
                .expect("a member");
            let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
            lost.extend(
                effects.iter().any(|it| matches!(it, Effect::TokenExpired { .. })).then_some(round),
            );
        }
        assert!(bench.turn(0).is_accepted(), "round {round}: late, and counted");
    }
    assert_eq!(lost, (8..16).collect::<Vec<_>>(), "until most of those it remembers are slow");
}

#[test]
fn loans_are_remembered_within_bounds() {
    // One replica hangs, the others come and go: the lists do not grow.
    let mut bench = Bench::joined(Settings { lease: Some(SECOND * 3600), ..settings(1, 3) });
    for _ in 0..1000 {
        bench.turn(0);
        bench.turn(1);
    }
    assert!(bench.engine.leases.len() <= 2 * 3 + 64 + 3, "{}", bench.engine.leases.len());
}

#[test]
fn a_late_push_leaves_the_token_that_came_after() {
    // P-5: found by the exploration of all states; what is late was computed for an earlier token
    let mut bench = Bench::joined(Settings { lease: Some(SECOND), ..settings(1, 2) });
    bench.now = SECOND;
    bench.event(|engine, now, out| engine.tick(now, out));
    let incarnation = bench.incarnations[1];
    bench.turn(0);
    let asked = bench.event(|engine, now, out| engine.request(id(1), incarnation, now, out));
    assert!(matches!(&asked.1[..], [Effect::Grant(g)] if g.local_step == LocalStep::new(1)));
    let spent = bench.engine.ledger().spent;
    assert!(matches!(bench.push_at(1, 0).0.outcome, Outcome::Stale { .. }));
    assert_eq!(bench.engine.ledger().spent, spent, "the token of step 1 is still in its hands");
    assert!(matches!(bench.turn(1), Outcome::Accepted { .. }));
}

#[test]
fn an_overdue_step_names_who_is_missing() {
    // P-5
    let waiting = Settings { lease: None, step_deadline: Some(SECOND), ..settings(3, 3) };
    let mut bench = Bench::joined(waiting);
    bench.turn(0);
    bench.turn(1);
    bench.now = SECOND;
    let (_, effects) = bench.event(|engine, now, out| engine.tick(now, out));
    let overdue = Overdue {
        global_step: GlobalStep::new(0),
        count: 2,
        needed: 3,
        missing: vec![id(2)],
        waiting: vec![id(0), id(1)],
    };
    assert!(overdue.to_string().contains("replica 2 has not pushed"), "{overdue}");
    assert_eq!(effects, [Effect::Overdue(overdue)]);
    // Nothing is lost: the missing one comes, those who gave up waiting ask again.
    bench.turn(2);
    assert_eq!(bench.step(), 1);
    let incarnation = bench.incarnations[0];
    let (asked, effects) =
        bench.event(|engine, now, out| engine.request(id(0), incarnation, now, out));
    assert_eq!((asked, effects.len()), (Ok(()), 1));
}

#[test]
fn who_gives_up_in_an_overdue_step_is_told() {
    // P-5: all give up all the time, so that no replica ever waits; each is told at its next batch
    for order in [SummationOrder::Arrival, SummationOrder::Replica] {
        let spinning = settings(2, 3);
        let spinning = Settings { lease: None, step_deadline: Some(SECOND), order, ..spinning };
        let mut bench = Bench::joined(spinning);
        (0..3).for_each(|replica| drop(bench.give_up(replica)));
        assert_eq!(bench.engine.waiting().count(), 0, "each has the next token at once");
        bench.now = SECOND;
        assert_eq!(bench.event(|engine, now, out| engine.tick(now, out)).1, []);
        for (replica, missing) in [(0, vec![id(0), id(1), id(2)]), (2, vec![id(1), id(2)])] {
            let incarnation = bench.incarnations[replica as usize];
            let (_, effects) =
                bench.event(|engine, now, out| engine.give_up(id(replica), incarnation, now, out));
            let overdue = Overdue {
                global_step: GlobalStep::new(0),
                count: 0,
                needed: 2,
                missing,
                waiting: vec![id(replica)],
            };
            assert_eq!(effects, [Effect::Overdue(overdue)], "{order:?}");
        }
        // Nothing is lost: a replica that is told may ask again, and the next step has its own
        // time.
        let incarnation = bench.incarnations[0];
        let asked = bench.event(|engine, now, out| engine.request(id(0), incarnation, now, out));
        assert!(matches!(&asked.1[..], [Effect::Grant(_)]), "{asked:?}");
        (0..2).for_each(|replica| drop(bench.turn(replica)));
        assert_eq!(bench.step(), 1);
        bench.give_up(0);
        let holds = bench.engine.members.get(id(0)).is_some_and(|member| member.held.is_some());
        assert!(holds, "{order:?}: it has another token");
    }
}

#[test]
fn uneven_data_is_fine() {
    // P-6: replicas leave one after the other; the last goes on alone, several batches a step
    let mut bench = Bench::joined(settings(4, 4));
    for leaver in [3, 2, 1] {
        for _ in 0..3 {
            (0..=leaver).for_each(|replica| drop(bench.turn(replica)));
        }
        bench.leave(leaver);
    }
    let before = bench.step();
    (0..8).for_each(|_| drop(bench.turn(0)));
    assert_eq!(bench.step(), before + 2);
}

#[test]
fn the_reference_preset_hangs_where_tensorflow_does() {
    // R-22, P-16: without leases a death with a token in hand is fatal when no backup is left
    let mut bench = Bench::joined(Settings { step_deadline: None, ..settings(2, 2).reference() });
    // Use up the initial tokens, into lock step.
    for replica in [0, 1, 0, 1] {
        bench.turn(replica);
    }
    bench.leave(1);
    bench.turn(0);
    assert_eq!(bench.engine.waiting().collect::<Vec<_>>(), [id(0)], "for ever");
    assert_eq!(bench.engine.ledger().lost, 1);
}

#[test]
fn who_never_comes_does_not_hold_the_first_step() {
    // P-5: found by the random events
    let mut bench = Bench::new(Settings { lease: Some(SECOND), ..settings(2, 2) });
    bench.join(0);
    bench.turn(0);
    assert_eq!(bench.engine.waiting().collect::<Vec<_>>(), [id(0)]);
    bench.now = SECOND;
    bench.event(|engine, now, out| engine.tick(now, out));
    bench.turn(0);
    assert_eq!(bench.step(), 1);
    // Its starting token is used; what it finds is its token of step 1.
    assert!(matches!(&bench.join(1)[..], [Effect::Grant(g)] if g.local_step == LocalStep::new(1)));
}

#[test]
fn a_superseded_replica_spends_its_token_also_where_leftovers_are_kept() {
    // P-13: else the old token is the first in the queue, and the replica that gets it gives it up
    // again.
    let kept = Settings { token_policy: TokenPolicy::KeepLeftovers, ..settings(1, 3) };
    let mut bench = Bench::joined(kept);
    assert_eq!(bench.turn(0), Outcome::Accepted { count: 1 });
    assert_eq!((bench.step(), bench.engine.local_step(id(0))), (1, Some(LocalStep::new(1))));
    for replica in [1, 2] {
        bench.give_up(replica);
        assert_eq!(bench.engine.local_step(id(replica)), Some(LocalStep::new(1)), "a fresh token");
    }
    assert_eq!(bench.engine.num_tokens(), 0);
    assert_eq!(bench.engine.ledger().spent, 3);
}

#[test]
fn a_lease_that_ends_after_its_step_spends_the_token_also_where_leftovers_are_kept() {
    // P-5: where batches take longer than a lease, the old token would else be first in the queue
    // again and again, each time for a batch that comes too late.
    let lease = Some(Duration::from_secs(2));
    let kept = Settings { token_policy: TokenPolicy::KeepLeftovers, lease, ..settings(1, 2) };
    let mut bench = Bench::joined(kept);
    assert_eq!(bench.turn(0), Outcome::Accepted { count: 1 });
    bench.now += Duration::from_secs(2);
    bench.event(|engine, now, effects| engine.tick(now, effects));
    let stale = Outcome::Stale { local_step: LocalStep::new(0), global_step: GlobalStep::new(1) };
    assert_eq!(bench.turn(1), stale);
    assert_eq!(bench.engine.local_step(id(1)), Some(LocalStep::new(1)), "a fresh token");
}
