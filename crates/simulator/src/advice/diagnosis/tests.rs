//! Which replicas are named, and that none is where nothing is wrong (P-23).

use proptest::prelude::*;

use super::super::{Row, Trace};
use super::*;
use crate::distribution::{Above, Distribution, Seconds};
use crate::stream::Stream;

/// Draws of a distribution for each replica, in each step.
fn drawn(distribution: &Distribution, seed: u64, steps: usize, replicas: usize) -> Vec<Row> {
    let mut streams: Vec<Stream> =
        (0..replicas as u64).map(|replica| Stream::of_replica(seed, replica)).collect();
    let mut rows = Vec::new();
    for step in 0..steps as i64 {
        for (stream, replica) in streams.iter_mut().zip(0..) {
            rows.push(Row { step, replica, seconds: distribution.draw(stream), finished: true });
        }
    }
    rows
}

fn log_normal(sigma: f64) -> Distribution {
    let sigma = Above::try_from(sigma).expect("is above zero");
    Distribution::LogNormal { median: seconds(1.0), sigma }
}

fn seconds(seconds: f64) -> Seconds {
    seconds.try_into().expect("is a time")
}

fn diagnosis(rows: Vec<Row>) -> Diagnosis {
    Diagnosis::of(&Trace::new(rows).expect("is a trace"))
}

/// Gives up what comes after the A-th of each step, as a run does.
fn given_up(mut rows: Vec<Row>, aggregate: usize, replicas: usize) -> Vec<Row> {
    for step in rows.chunks_mut(replicas) {
        let mut sorted: Vec<f64> = step.iter().map(|row| row.seconds).collect();
        sorted.sort_by(f64::total_cmp);
        let end = sorted[aggregate - 1];
        for row in step.iter_mut().filter(|row| row.seconds > end) {
            (row.seconds, row.finished) = (end, false);
        }
    }
    rows
}

/// P-23: of traces by chance alone fewer than 2 % name a replica, an episode or a group.
#[test]
fn nobody_is_named_where_nothing_is_wrong() {
    #[track_caller]
    fn check(distribution: &Distribution, replicas: usize, steps: usize, backups: usize) {
        const SEEDS: u64 = 200;
        let is_alarm = |seed: &u64| {
            let rows = drawn(distribution, *seed, steps, replicas);
            let got = diagnosis(given_up(rows, replicas - backups, replicas));
            !got.slow().is_empty() || !got.episodes.is_empty() || !got.groups.is_empty()
        };
        let alarms = (0..SEEDS).filter(is_alarm).count();
        assert!(
            alarms < 4,
            "{alarms} of {SEEDS}: {replicas} replicas, {steps} steps, {distribution:?}"
        );
    }
    let exponential = Distribution::Exponential { mean: seconds(1.0) };
    let shapes = [(2, 100, 1), (4, 20, 0), (4, 300, 1), (10, 20, 0), (10, 80, 1), (32, 20, 0)];
    for distribution in [log_normal(0.1), log_normal(0.5), exponential] {
        for (replicas, steps, backups) in shapes {
            check(&distribution, replicas, steps, backups);
        }
    }
    check(&log_normal(0.5), 32, 60, 2);
    check(&log_normal(0.1), 4, 2000, 1);
}

#[test]
fn who_is_slow_all_the_time_is_named() {
    /// Who is slow by which factor, of how many replicas in how many steps; the noise; the backups;
    /// and how slow it is said to be.
    #[track_caller]
    fn check(
        slow: &[(i64, f64)],
        (replicas, steps): (usize, usize),
        sigma: f64,
        backups: usize,
        expected: (Verdict, f64),
    ) {
        for seed in 0..5 {
            let mut rows = drawn(&log_normal(sigma), seed, steps, replicas);
            for row in &mut rows {
                let factor = slow.iter().find(|slow| slow.0 == row.replica);
                row.seconds *= factor.map_or(1.0, |slow| slow.1);
            }
            let got = diagnosis(given_up(rows, replicas - backups, replicas));
            let names: Vec<usize> = slow.iter().map(|slow| slow.0 as usize).collect();
            assert_eq!(got.slow(), names, "{got:?}");
            for name in names {
                let it = got.replicas[name];
                assert_eq!(it.verdict, expected.0, "{it:?}");
                assert!((it.factor / expected.1 - 1.0).abs() < 0.15, "{it:?}");
            }
            assert!(got.episodes.is_empty(), "{got:?}");
        }
    }
    check(&[(1, 2.25)], (4, 44), 0.02, 0, (Verdict::Slow, 2.25));
    check(&[(1, 2.0)], (4, 12), 0.1, 0, (Verdict::Slow, 2.0));
    check(&[(1, 1.5)], (2, 40), 0.1, 0, (Verdict::Slow, 1.5));
    check(&[(7, 1.3)], (32, 100), 0.1, 0, (Verdict::Slow, 1.3));
    check(&[(0, 2.0), (2, 2.0), (9, 2.0)], (10, 60), 0.1, 0, (Verdict::Slow, 2.0));
    // Its batches are given up, so its factor is hardly more than that of the others.
    check(&[(1, 9.0)], (4, 60), 0.02, 1, (Verdict::Last, 1.02));
    check(&[(1, 9.0)], (4, 60), 0.3, 1, (Verdict::Slow, 1.3));
}

#[test]
fn who_is_a_little_slow_is_not_named() {
    let mut rows = drawn(&log_normal(0.01), 0, 300, 8);
    rows.iter_mut().filter(|row| row.replica == 3).for_each(|row| row.seconds *= 1.05);
    let got = diagnosis(rows);
    assert_eq!((got.slow(), got.rest), (vec![], Rest::Even), "{got:?}");
}

#[test]
fn episodes_and_groups_are_found() {
    let mut rows = drawn(&log_normal(0.1), 4, 300, 10);
    let is_slow = |row: &&mut Row| (100..160).contains(&row.step) && [2, 6].contains(&row.replica);
    rows.iter_mut().filter(is_slow).for_each(|row| row.seconds *= 1.8);
    let got = diagnosis(rows);
    assert!(got.slow().is_empty(), "{got:?}");
    let found: Vec<_> = got.episodes.iter().map(|it| (it.replica, it.from, it.to)).collect();
    assert_eq!(found, [(2, 100, 159), (6, 100, 159)]);
    assert!(got.episodes.iter().all(|it| (it.factor / 1.8 - 1.0).abs() < 0.1), "{got:?}");
    assert_eq!(got.groups, [[2, 6]]);
}

#[test]
fn an_episode_that_takes_most_of_the_trace_is_one_all_the_same() {
    let mut rows = drawn(&log_normal(0.1), 4, 200, 6);
    let is_slow = |row: &&mut Row| row.step >= 60 && row.replica == 5;
    rows.iter_mut().filter(is_slow).for_each(|row| row.seconds *= 2.0);
    let got = diagnosis(rows);
    assert!(got.slow().is_empty(), "{got:?}");
    let found: Vec<_> = got.episodes.iter().map(|it| (it.replica, it.from, it.to)).collect();
    assert_eq!(found, [(5, 60, 199)]);
}

#[test]
fn what_makes_the_others_slow_is_told_apart() {
    let rest = |rows: Vec<Row>| diagnosis(rows).rest;
    assert_eq!(rest(drawn(&log_normal(0.02), 1, 100, 10)), Rest::Even);
    assert_eq!(rest(drawn(&log_normal(0.2), 1, 100, 10)), Rest::Wanders);
    // Each time is most of the one before.
    let mut rows = drawn(&log_normal(0.2), 1, 400, 10);
    for place in 10..rows.len() {
        let before = rows[place - 10].seconds;
        rows[place].seconds = before.powf(0.8) * rows[place].seconds.powf(0.6);
    }
    assert_eq!(rest(rows), Rest::Lasts);
}

#[test]
fn a_slow_machine_is_named_by_its_own_name() {
    let mut rows = drawn(&log_normal(0.05), 2, 40, 3);
    for row in &mut rows {
        row.seconds *= if row.replica == 2 { 2.0 } else { 1.0 };
        (row.replica, row.step) = (-7 + 100 * row.replica, 5 * row.step - 40);
    }
    let got = diagnosis(rows);
    let names: Vec<i64> = got.slow().iter().map(|place| got.replicas[*place].replica).collect();
    assert_eq!(names, [193]);
}

proptest! {
    /// Whatever the times: no panic, numbers that are numbers, parts that are parts, and the same
    /// answer whatever unit the times are in.
    #[test]
    fn any_trace_has_a_diagnosis(
        cells in prop::collection::btree_map(
            (0_i64..30, 0_i64..6),
            (prop_oneof![Just(0.0), 1e-6..1e6_f64, 0.9..1.1_f64], prop::bool::weighted(0.8)),
            1..150,
        ),
    ) {
        let rows = |unit: f64| {
            let rows = cells.iter().map(|(&(step, replica), &(seconds, finished))| Row {
                step,
                replica,
                seconds: unit * seconds,
                finished,
            });
            rows.collect::<Vec<_>>()
        };
        let got = diagnosis(rows(1.0));
        for it in &got.replicas {
            prop_assert!(it.factor.is_finite() && it.factor > 0.0, "{:?}", it);
            prop_assert!((0.0..=1.0).contains(&it.slowest) && (-1.0..=1.0).contains(&it.lag_1));
        }
        prop_assert!(got.spread.is_finite() && got.spread >= 1.0);
        prop_assert!(got.episodes.iter().all(|it| it.from <= it.to && it.factor.is_finite()));
        let times_two = diagnosis(rows(2.0));
        let is_zero = cells.values().any(|(seconds, _)| *seconds == 0.0);
        prop_assert!(is_zero || times_two.slow() == got.slow());
    }
}
