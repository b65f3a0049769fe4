//! How each factor is distributed, and what each is drawn once for.

use super::*;
use crate::stats::{deviation, mean};

fn plan(distributions: &str) -> Plan {
    let compute =
        if distributions.contains("compute") { "" } else { "compute.constant.seconds = 1\n" };
    let text =
        format!("replicas_to_aggregate = 1\ntotal_num_replicas = 2000\n{compute}{distributions}");
    Plan::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A replica's computations of so many batches, one after another.
fn draws(plan: &Plan, replica: u64, count: usize) -> Vec<f64> {
    let mut computing = Computing::new(plan, replica);
    let mut now = 0.0;
    let draw = |batch: usize| {
        let seconds = computing.draw(batch as u64, now, 0.0).as_secs_f64();
        now += seconds;
        seconds
    };
    (0..count).map(draw).collect()
}

fn logarithms(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().map(|number| number.ln()).collect()
}

/// The correlation of each number with the one before.
fn lag_1(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let product = |(a, b): (&f64, &f64)| (a - mean) * (b - mean);
    let variance: f64 = numbers.iter().map(|number| product((number, number))).sum();
    numbers.iter().zip(&numbers[1..]).map(product).sum::<f64>() / variance
}

#[test]
fn a_machine_is_as_slow_each_time_and_machines_follow_the_law() {
    #[track_caller]
    fn check(distribution: &str, median: f64, spread: f64) {
        let plan = plan(&format!("machine.{distribution}"));
        let machines: Vec<f64> = (0..2000).map(|replica| draws(&plan, replica, 1)[0]).collect();
        let logarithms = logarithms(&machines);
        assert!((mean(&logarithms) - f64::ln(median)).abs() < 0.02, "{distribution}");
        assert!((deviation(&logarithms) - spread).abs() < 0.02, "{distribution}");
        for replica in [0, 1, 1999] {
            let first = machines[replica];
            assert_eq!(draws(&plan, replica as u64, 5), [first; 5], "{distribution}");
        }
    }
    check("log-normal = { median = 1.5, sigma = 0.3 }", 1.5, 0.3);
    check("constant.factor = 2", 2.0, 0.0);
    // Half of the machines are e times as slow as the others.
    check("samples.factors = [1, 2.718281828]", f64::exp(0.5), 0.5);
}

#[test]
fn a_batch_is_as_long_whoever_computes_it_and_however_often() {
    let plan = plan("batch.log-normal = { median = 1, sigma = 0.2 }");
    let batches = draws(&plan, 0, 5000);
    let logarithms = logarithms(&batches);
    assert!(mean(&logarithms).abs() < 0.01 && (deviation(&logarithms) - 0.2).abs() < 0.01);
    assert!(lag_1(&logarithms).abs() < 0.05);
    assert_eq!(draws(&plan, 1999, 5000), batches);
    let mut computing = Computing::new(&plan, 7);
    let again = [3, 3, 0].map(|batch| computing.draw(batch, 0.0, 0.0).as_secs_f64());
    assert_eq!(again, [batches[3], batches[3], batches[0]]);
}

#[test]
fn successive_times_resemble_each_other_and_each_follows_its_law() {
    const DRAWS: usize = 50_000;
    #[track_caller]
    fn check(correlation: f64, distribution: &str, expected: f64) {
        let read = |correlation: f64| {
            plan(&format!("compute.{distribution}\ncorrelation = {correlation}"))
        };
        let mut got = draws(&read(correlation), 0, DRAWS);
        let lag = lag_1(&logarithms(&got));
        assert!((lag - expected).abs() < 0.03, "{distribution}, {correlation}: {lag}");
        let mut independent = draws(&read(0.0), 0, DRAWS);
        got.sort_by(f64::total_cmp);
        independent.sort_by(f64::total_cmp);
        for part in [0.05, 0.25, 0.5, 0.75, 0.95, 0.985] {
            let place = (part * DRAWS as f64) as usize;
            let (got, independent) = (got[place], independent[place]);
            assert!(
                (got / independent - 1.0).abs() < 0.08,
                "{distribution}, {part}: {got} {independent}"
            );
        }
    }
    let log_normal = "log-normal = { median = 2, sigma = 0.5 }";
    check(0.0, log_normal, 0.0);
    check(0.3, log_normal, 0.3);
    check(0.74, log_normal, 0.74);
    // Of other distributions it is less, the less they resemble a log-normal.
    check(0.74, "exponential.mean = 1", 0.727);
    check(0.74, "pareto = { least = 1, alpha = 3 }", 0.704);
    check(0.74, "samples.seconds = [4, 1, 3, 5, 2]", 0.679);
    let mixture = "mixture = { probability = 0.02, body.log-normal = { median = 1, sigma = 0.1 }, \
                   straggler.constant.seconds = 9 }";
    check(0.74, mixture, 0.463);
}

#[test]
fn the_share_of_time_in_an_episode_is_that_of_the_law() {
    #[track_caller]
    fn check(every: &str, last: &str, share: f64) {
        let text = format!("[[episodes]]\nevery.{every}\nlast.{last}\nfactor.constant.factor = 3");
        let plan = plan(&text);
        let mut walks = Walks::new(&plan.episodes, 5, 0);
        let slow = (0..400_000).filter(|tenth| {
            let now = f64::from(*tenth) / 10.0;
            walks.advance(now);
            walks.stretched(now, 1e-9) > 2e-9
        });
        let got = slow.count() as f64 / 400_000.0;
        assert!((got - share).abs() < 0.02, "{every}, {last}: {got}, not {share}");
    }
    check("constant.seconds = 8", "constant.seconds = 2", 0.2);
    check("exponential.mean = 8", "exponential.mean = 2", 0.2);
    check("exponential.mean = 5", "log-normal = { median = 10, sigma = 0.1 }", 0.668);
}

#[test]
fn an_episode_slows_the_part_of_a_computation_that_lies_within_it() {
    // Episodes from 10 to 15, 25 to 30, 40 to 45, in which all takes three times as long.
    const ONE: &str = "[[episodes]]\nevery.constant.seconds = 10\nlast.constant.seconds = 5\n\
                       factor.constant.factor = 3\n";
    #[track_caller]
    fn check(distributions: &str, began: f64, work: f64, expected: f64) {
        let plan = plan(distributions);
        let mut walks = Walks::new(&plan.episodes, 0, 0);
        walks.advance(began / 2.0);
        let got = walks.stretched(began, work);
        assert!((got - expected).abs() < 1e-9, "{began}, {work}: {got}, not {expected}");
    }
    check(ONE, 0.0, 0.0, 0.0);
    check(ONE, 0.0, 4.0, 4.0);
    check(ONE, 0.0, 10.0, 10.0);
    check(ONE, 0.0, 11.0, 13.0);
    check(ONE, 10.0, 1.0, 3.0);
    check(ONE, 14.0, 1.0, 1.0 + 2.0 / 3.0);
    // 5 of its 12 seconds before the episode, 5/3 in 5 seconds of it, the rest after it.
    check(ONE, 5.0, 12.0, 5.0 + 5.0 + (12.0 - 5.0 - 5.0 / 3.0));
    // 29 to 30 in one, 40 to 45 in another, and another 5/3 after 45.
    check(ONE, 29.0, 1.0 / 3.0 + 10.0 + 5.0 / 3.0 + 2.0, 18.0);
    // Of two kinds that come together both factors count.
    check(&ONE.repeat(2), 10.0, 0.5, 4.5);
    // Faster is also an episode.
    check(&ONE.replace("= 3", "= 0.5"), 10.0, 4.0, 2.0);
    // Far more changes than are looked at: it still ends.
    let short = ONE.replace("10", "1e-9").replace("= 5", "= 1e-9");
    let plan = plan(&short);
    let took = Walks::new(&plan.episodes, 0, 0).stretched(0.0, 1e9);
    assert!((1e9..=3e9).contains(&took), "{took}");
}

#[test]
fn neighbours_of_a_group_have_their_episodes_together() {
    #[track_caller]
    fn check(group: usize, alike: &[(u64, u64)], different: &[(u64, u64)]) {
        let text = format!(
            "[[episodes]]\nevery.exponential.mean = 10\nlast.exponential.mean = 10\n\
             factor.log-normal = {{ median = 3, sigma = 0.1 }}\ngroup = {group}"
        );
        let plan = plan(&text);
        let of = |replica: u64| draws(&plan, replica, 50);
        alike.iter().for_each(|(a, b)| assert_eq!(of(*a), of(*b), "{group}: {a}, {b}"));
        different.iter().for_each(|(a, b)| assert_ne!(of(*a), of(*b), "{group}: {a}, {b}"));
    }
    check(1, &[(3, 3)], &[(0, 1)]);
    check(8, &[(0, 7), (8, 15)], &[(7, 8), (0, 16)]);
    // The last group is smaller; a group of more than there are is all of them.
    check(1500, &[(1500, 1999)], &[(0, 1500)]);
    check(usize::MAX, &[(0, 1999)], &[]);
}

#[test]
fn factors_multiply_and_none_is_zero_or_infinite() {
    let distributions = "machine.constant.factor = 2\nbatch.constant.factor = 3\n\
                [[episodes]]\nevery.constant.seconds = 1\nlast.constant.seconds = 100\n\
                factor.constant.factor = 5";
    // One of six seconds before the episode.
    assert_eq!(draws(&plan(distributions), 4, 2), [1.0 + 5.0 * 5.0, 30.0]);
    #[track_caller]
    fn check(distribution: &str, expected: f64) {
        let times: Vec<f64> = (0..50).map(|n| draws(&plan(distribution), n, 1)[0]).collect();
        assert!(times.contains(&expected), "{distribution}: {times:?}");
        assert!(times.iter().all(|time| (1e-6..=1e6).contains(time)), "{distribution}: {times:?}");
    }
    check("machine.log-normal = { median = 1, sigma = 1e6 }", 1e-6);
    check("machine.log-normal = { median = 1, sigma = 1e6 }", 1e6);
    check("machine.pareto = { least = 1, alpha = 1e-3 }", 1e6);
}
