//! Replays against times that can be followed by hand, and plans against replays (P-23).

use super::super::{Fleet, Iterations, Row, fixed_fleet};
use super::*;
use crate::distribution::Seconds;
use crate::plan::Plan;

/// A trace of so many steps; of times below zero the batch was given up, and NaN is no time.
fn trace(steps: i64, seconds: impl Fn(i64, i64) -> f64, machines: i64) -> Trace {
    let rows = (0..steps).flat_map(|step| (0..machines).map(move |replica| (step, replica)));
    let rows = rows.map(|(step, replica)| (step, replica, seconds(step, replica)));
    let rows = rows.filter(|(.., seconds)| !seconds.is_nan());
    let rows = rows.map(|(step, replica, seconds)| Row {
        step,
        replica,
        seconds: seconds.abs(),
        finished: seconds >= 0.0,
    });
    Trace::new(rows.collect()).expect("is a trace")
}

#[test]
fn a_replay_gives_what_the_steps_would_have_taken() {
    #[track_caller]
    fn check(seconds: [f64; 3], expected: [(f64, bool); 3]) {
        let replay = Replay::of(&trace(20, |_, replica| seconds[replica as usize], 3), None, 1);
        let gains = replay.gains(9, 1);
        let got: Vec<_> = gains.iter().map(|gain| (gain.step_seconds, gain.lower_bound)).collect();
        for ((got, bound), expected) in got.iter().zip(expected) {
            assert!((got - expected.0).abs() < 1e-9 && *bound == expected.1, "{gains:?}");
        }
        assert!((gains[1].faster - got[0].0 / got[1].0).abs() < 1e-9, "{gains:?}");
        assert!((gains[1].work_each - gains[1].faster * 2.0 / 3.0).abs() < 1e-9, "{gains:?}");
    }
    check([1.0, 5.0, 2.0], [(5.0, false), (2.0, false), (1.0, false)]);
    // Who never finished is the last, however soon it was given up.
    check([1.0, -0.5, 2.0], [(2.0, true), (2.0, false), (1.0, false)]);
    check([-1.0, -0.5, -2.0], [(2.0, true), (1.0, true), (0.5, true)]);
    check([2.0; 3], [(2.0, false); 3]);
}

#[test]
fn what_is_missing_is_as_the_machine_is_in_such_a_step() {
    // Every fifth step takes ten times as long, for all.
    let level = |step: i64| if step % 5 == 0 { 10.0 } else { 1.0 };
    #[track_caller]
    fn check(trace: &Trace, expected: f64) {
        let replay = Replay::of(trace, None, 3);
        let got = replay.gains(0, 1)[0];
        assert!((got.step_seconds - expected).abs() < 1e-9 && !got.lower_bound, "{got:?}");
    }
    let slow = |replica: i64| if replica == 3 { 2.0 } else { 1.0 };
    let absent = |step: i64, replica: i64| match (step % 3, replica) {
        (1, 3) => f64::NAN,
        _ => level(step) * slow(replica),
    };
    check(&trace(60, absent, 4), 2.0 * 2.8);
    let given_up = |step: i64, replica: i64| match (step % 3, replica) {
        (1, 3) => -level(step) * 1.1,
        _ => level(step) * slow(replica),
    };
    check(&trace(60, given_up, 4), 2.0 * 2.8);
}

#[test]
fn a_step_takes_its_update_as_well() {
    let trace = trace(9, |_, _| 1.0, 2);
    let update = Distribution::constant(Seconds::try_from(0.5).expect("is a time"));
    let gain = Replay::of(&trace, Some(&update), 0).gains(1, 0)[1];
    assert!((gain.step_seconds - 1.5).abs() < 1e-9 && gain.faster == 1.0, "{gain:?}");
}

#[test]
fn a_slow_machine_is_replaced_by_a_usual_one() {
    #[track_caller]
    fn check(machines: i64, slow: f64, aggregate: usize, expected: (f64, f64)) {
        let seconds = |step: i64, replica: i64| {
            let level = if step % 5 == 0 { 10.0 } else { 1.0 };
            level * if replica == 1 { slow } else { 1.0 }
        };
        let replay = Replay::of(&trace(50, seconds, machines), None, 7);
        let remedy = replay.remedy(&[1], aggregate, 7).expect("there is one");
        let got = (remedy.replaced.times, remedy.backups.times);
        assert!((got.0 - expected.0).abs() < 1e-9, "{remedy:?}");
        assert!((got.1 - expected.1).abs() < 1e-9, "{remedy:?}");
        assert_eq!(remedy.replaced.replicas_to_aggregate, machines as usize);
    }
    check(4, 2.0, 4, (2.0, 1.5));
    // It is given up at every step: a usual one would make a gradient more.
    check(4, -1.1, 3, (4.0 / 3.0, 1.0));
    let replay = Replay::of(&trace(50, |_, _| 1.0, 3), None, 7);
    assert_eq!(replay.remedy(&[], 3, 0), None);
    assert_eq!(replay.remedy(&[0, 1, 2], 3, 0), None);
    assert_eq!(replay.remedy(&[0], 4, 0), None);
}

// P-23: machines that are slow together are planned with as such.
#[test]
fn a_plan_from_a_trace_says_what_its_replay_gives() {
    // In every tenth step three of ten take three times as long, all of them.
    let seconds = |step: i64, replica: i64| {
        let own = 1.0 + 0.01 * ((7 * step + 3 * replica) % 11) as f64;
        if step % 10 == 4 && replica < 3 { 3.0 * own } else { own }
    };
    let replay = Replay::of(&trace(200, seconds, 10), None, 1);
    let plan = Plan::new(Distribution::constant(Seconds::default()), 1, 1).expect("one of one");
    let fleet = Fleet { plan, measured: Some(replay.clone()) };
    let advice = fixed_fleet(&fleet, 10, &Iterations::Inverse).expect("there are machines");
    for gain in replay.gains(5, 1) {
        let choice = &advice.choices[gain.replicas_to_aggregate - 1];
        let off = choice.step_seconds / gain.step_seconds;
        assert!((off - 1.0).abs() < 0.03, "{off}: {choice:?}, {gain:?}");
        assert!((choice.step_seconds - gain.step_seconds).abs() <= choice.plus_minus, "{choice:?}");
    }
}
