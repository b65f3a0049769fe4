//! Each deliberate difference that the engine decides: one scenario, played in TensorFlow's way
//! and at the front door, with the result of each (P-16).
//!
//! The table of differences in docs/semantics.md names these tests; what needs gradients is in
//! `tests/it/differences.rs`.

use std::fmt::Debug;

use super::*;

/// As long as the front door's lease, which the reference has not.
const LEASE: Duration = Duration::from_secs(10);

/// As long as the deadline that both have.
const DEADLINE: Duration = Duration::from_secs(600);

#[track_caller]
fn check<R: Debug + PartialEq>(
    (aggregate, total): (usize, usize),
    play: impl Fn(Settings) -> R,
    reference: R,
    front_door: R,
) {
    let settings = settings(aggregate, total);
    assert_eq!(play(settings.clone().reference()), reference, "A={aggregate} N={total}, reference");
    assert_eq!(play(settings), front_door, "A={aggregate} N={total}, front door");
}

fn waits(bench: &Bench, replica: u64) -> bool {
    bench.engine.waiting().any(|waiting| waiting == id(replica))
}

/// Turns of `living` replicas, one after the other, until the step; how many were wasted.
fn stale_until(bench: &mut Bench, living: u64, until: i64) -> u64 {
    let mut stale = 0;
    while bench.step() < until {
        for replica in 0..living {
            if bench.engine.config.settings().tell_superseded
                && bench.engine.is_superseded(id(replica))
            {
                bench.give_up(replica);
            } else if !waits(bench, replica) {
                stale += u64::from(matches!(bench.turn(replica), Outcome::Stale { .. }));
            }
        }
    }
    stale
}

/// Moves the clock, and serves the replicas that wait.
fn tick(bench: &mut Bench, now: Duration) -> Vec<Effect> {
    bench.now = now;
    bench.event(|engine, now, out| engine.tick(now, out)).1
}

#[test]
fn tokens_before_the_first_step() {
    // R-24, P-3: (tokens in the queue, batches wasted until the second step)
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        let tokens = bench.engine.num_tokens();
        let living = bench.incarnations.len() as u64;
        (tokens, stale_until(&mut bench, living, 2))
    };
    check((2, 2), play, (2, 2), (0, 0));
    check((4, 2), play, (4, 2), (2, 0));
}

#[test]
fn leftover_tokens_at_a_new_step() {
    // R-22, P-12: A = 2 of N = 6, four dead from the start: tokens put at step 1 and not taken are
    // there after step 2, or are not.
    let play = |settings| {
        let mut bench = Bench::new(settings);
        (0..2).for_each(|replica| drop(bench.join(replica)));
        stale_until(&mut bench, 2, 5);
        bench.engine.ledger().discarded > 0
    };
    check((2, 6), play, false, true);
}

#[test]
fn waste_in_the_steady_state() {
    // R-22, P-12, P-13: two live replicas; T - A of every step's T gradients, or none
    #[track_caller]
    fn waste(numbers: (usize, usize), each_step: u64) {
        let play = |settings| {
            let mut bench = Bench::new(settings);
            (0..2).for_each(|replica| drop(bench.join(replica)));
            stale_until(&mut bench, 2, 10);
            let stale = stale_until(&mut bench, 2, 70);
            // Where within a step the counting begins is chance.
            (stale + each_step / 2) / 60
        };
        check(numbers, play, each_step, 0);
    }
    waste((2, 3), 1);
    waste((2, 4), 2);
    waste((2, 6), 4);
}

#[test]
fn a_replica_that_dies_or_leaves() {
    // P-5, P-6: in lock step, then replica 1 goes with its token: (tokens lost, steps that follow)
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        stale_until(&mut bench, 2, 2);
        let before = bench.step();
        bench.leave(1);
        for _ in 0..20 {
            if !waits(&bench, 0) {
                bench.turn(0);
            }
        }
        (bench.engine.ledger().lost, bench.step() - before)
    };
    check((2, 2), play, (1, 0), (0, 10));
}

#[test]
fn a_replica_that_hangs() {
    // P-5: in lock step, then replica 1 is silent for as long as the lease
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        stale_until(&mut bench, 2, 2);
        bench.turn(0);
        let expired = tick(&mut bench, LEASE).contains(&expired(1, Expiry::Silent));
        (expired, waits(&bench, 0))
    };
    check((2, 2), play, (false, true), (true, false));
}

#[test]
fn a_replica_that_never_comes() {
    // P-5: replica 1 of 2 does not join; with no initial token to spare, replica 0 waits for it
    let play = |settings| {
        let mut bench =
            Bench::new(Settings { initial_tokens: InitialTokens::Exactly(0), ..settings });
        bench.join(0);
        bench.turn(0);
        let waited = waits(&bench, 0);
        tick(&mut bench, LEASE);
        (waited, waits(&bench, 0))
    };
    check((2, 2), play, (true, true), (true, false));
}

#[test]
fn a_replica_that_comes_back() {
    // P-9: replica 1 leaves, 0 goes on as far as it can, 1 joins again: does it begin at once?
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        stale_until(&mut bench, 2, 2);
        bench.leave(1);
        bench.turn(0);
        bench.join(1);
        !waits(&bench, 1)
    };
    check((2, 2), play, true, false);
}

#[test]
fn a_step_that_never_closes() {
    // P-5: the deadline is the one thing that the preset keeps, so both say who is missing
    let play = |settings| {
        let mut bench = Bench::joined(Settings { lease: None, ..settings });
        stale_until(&mut bench, 2, 2);
        bench.turn(0);
        let effects = tick(&mut bench, 2 * DEADLINE);
        let missing = effects.into_iter().find_map(|effect| match effect {
            Effect::Overdue(overdue) => Some(overdue.missing),
            _ => None,
        });
        (missing, waits(&bench, 0))
    };
    check((2, 2), play, (Some(vec![id(1)]), false), (Some(vec![id(1)]), false));
}

#[test]
fn data_that_ends_for_one() {
    // P-6: four replicas, three of them leave one after the other; the last one's further steps
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        stale_until(&mut bench, 4, 2);
        (1..4).rev().for_each(|leaver| bench.leave(leaver));
        let before = bench.step();
        for _ in 0..40 {
            if !waits(&bench, 0) {
                bench.turn(0);
            }
        }
        bench.step() - before
    };
    check((4, 4), play, 0, 10);
}

#[test]
fn the_fate_of_a_push() {
    // P-7: TensorFlow says nothing; here both say it, and count it for each replica
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        bench.turn(0);
        bench.turn(2);
        let outcome = bench.turn(1);
        let tally = bench.engine.tally(id(1)).map(|tally| (tally.accepted, tally.stale));
        (outcome, tally)
    };
    let (local_step, global_step) = (LocalStep::new(0), GlobalStep::new(1));
    let told = || (Outcome::Stale { local_step, global_step }, Some((0, 1)));
    check((2, 3), play, told(), told());
}

#[test]
fn the_same_push_twice() {
    // P-15: E-19, a retried push counts twice in TensorFlow, and here in no way at all
    let play = |settings| {
        let mut bench = Bench::joined(settings);
        bench.push_at(0, 0);
        let (again, effects) = bench.push_again(0, 0);
        (again.repeated, effects, bench.engine.num_accumulated(0))
    };
    check((2, 2), play, (true, vec![], Some(1)), (true, vec![], Some(1)));
}
