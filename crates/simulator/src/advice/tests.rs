//! Advice against closed forms: for every N the advised A is as good as any there is.

use super::*;
use crate::distribution::{Distribution, Seconds};

fn seconds(seconds: f64) -> Seconds {
    seconds.try_into().expect("is a time")
}

fn fleet(distribution: Distribution, mode: Mode) -> Fleet {
    Fleet::from(Plan::new(distribution, 1, 1).expect("one of one")).in_mode(mode)
}

/// What is advised, at a small part of the usual expense, so that every N has its turn.
fn advised(fleet: &Fleet, machines: usize) -> Advice {
    let advice = fixed_fleet_within(50_000, fleet, machines, &Iterations::Inverse);
    advice.expect("there are machines")
}

/// Compares the cost of what is advised, in closed form, with the least cost of all A.
#[track_caller]
fn check(fleet: &Fleet, machines: usize, more: f64, step_seconds: impl Fn(usize) -> f64) {
    let cost = |aggregate: usize| machines as f64 / aggregate as f64 * step_seconds(aggregate);
    let best = (1..=machines).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).expect("there is one");
    let advice = advised(fleet, machines);
    let got = advice.choices[advice.best.index].replicas_to_aggregate;
    assert!(
        cost(got) <= (1.0 + more) * cost(best),
        "N = {machines}: advised A = {got}, which costs {}; A = {best} costs {}",
        cost(got),
        cost(best)
    );
}

/// The mean of the k-th of n exponential times of mean 1: H_n - H_(n-k).
fn exponential(k: usize, n: usize) -> f64 {
    (n - k + 1..=n).map(|place| 1.0 / place as f64).sum()
}

/// All small N and some of the others.
fn sizes(step: usize) -> impl Iterator<Item = usize> {
    (1..=32).chain((33..=200).step_by(step))
}

/// By the formula more than by tokens, which take longer.
fn every_n() -> impl Iterator<Item = (Mode, usize)> {
    let tokens = sizes(19);
    let ideal = sizes(7).map(|machines| (Mode::Ideal, machines));
    ideal.chain(tokens.map(|machines| (Mode::Tokens, machines)))
}

#[test]
fn exponential_times_for_any_n() {
    for (mode, machines) in every_n() {
        let fleet = fleet(Distribution::Exponential { mean: seconds(1.0) }, mode);
        check(&fleet, machines, 0.1, |aggregate| exponential(aggregate, machines));
    }
}

#[test]
fn shifted_exponential_times_for_any_n() {
    // The best A goes from all machines to a few of them, as the excess grows.
    for machines in sizes(7) {
        let excess = [0.02, 0.2, 1.0, 5.0][machines % 4];
        let mean_excess = seconds(excess);
        let distribution = Distribution::ShiftedExponential { least: seconds(1.0), mean_excess };
        let fleet = fleet(distribution, Mode::Ideal);
        check(&fleet, machines, 0.1, |aggregate| 1.0 + excess * exponential(aggregate, machines));
    }
}

#[test]
fn slow_machines_for_any_n() {
    // So many of the machines are so much slower: the time of the A-th fastest is no chance.
    const FLEETS: [(f64, f64); 5] =
        [(0.1, 10.0), (0.6, 10.0), (0.6, 1.5), (0.95, 40.0), (0.5, 3.0)];
    for (mode, machines) in every_n() {
        let (part, slower) = FLEETS[machines % FLEETS.len()];
        let slow = (part * machines as f64) as usize;
        let mut fleet = fleet(Distribution::constant(seconds(1.0)), mode);
        let distribution = Distribution::constant(seconds(slower));
        fleet.plan.replicas = (0..slow as u64).map(|id| (id, distribution.clone())).collect();
        let time = |aggregate| if aggregate <= machines - slow { 1.0 } else { slower };
        check(&fleet, machines, 0.0, time);
    }
}

#[test]
fn backups_for_a_batch_in_closed_form() {
    // A step of A + b machines takes H_(A+b) - H_b; the price is that times the machines.
    for gradients in [1, 2, 7, 30, 90] {
        let most = gradients + 40;
        let cost = |b: usize| (gradients + b) as f64 * exponential(gradients, gradients + b);
        let best = (0..=most).map(cost).fold(f64::INFINITY, f64::min);
        let fleet = fleet(Distribution::Exponential { mean: seconds(1.0) }, Mode::Ideal);
        let advice = fixed_batch_within(50_000, &fleet, gradients, most).expect("it is a batch");
        let got = advice.choices[advice.best.index].backups;
        assert!(cost(got) <= 1.1 * best, "{gradients}: {got} cost {}, not {best}", cost(got));
        // More backups are always faster here: the answer is where the search ended, and says so.
        assert!(advice.fastest.at_edge, "{gradients}");
    }
}

#[test]
fn what_was_left_out_and_what_lies_at_an_edge_is_said() {
    #[track_caller]
    fn check(iterations: &str, machines: usize, expected: (usize, usize, bool)) {
        let iterations = iterations.parse().expect("is a curve");
        let fleet = fleet(Distribution::constant(seconds(1.0)), Mode::Ideal);
        let advice = fixed_fleet_within(50_000, &fleet, machines, &iterations).expect("is a fleet");
        let best = advice.choices[advice.best.index].replicas_to_aggregate;
        let looked_at = advice.choices.len() + advice.by_formula_alone;
        assert_eq!((best, looked_at, advice.best.at_edge), expected, "{iterations}, {machines}");
    }
    // All A of the fleet, so its ends are no edges.
    check("inverse", 5, (5, 5, false));
    check("inverse", 150, (150, 150, false));
    // A up to 100 are known, and 100 is best of those; or there are no more machines.
    check("50=137500,100=76200", 200, (100, 51, true));
    check("50=137500,100=76200", 100, (100, 51, false));
    check("50=137500,100=76200", 60, (60, 11, false));
    // The best A is the least that is known.
    check("50=1000,100=2000", 200, (50, 51, true));
    // A best one between the ends.
    check("1=900,4=100,9=800", 12, (4, 9, false));
}

#[test]
fn questions_without_an_answer_are_errors() {
    #[track_caller]
    fn check(advice: Result<Advice, AdviceError>, fragments: &[&str]) {
        let error = advice.expect_err("there is no answer").to_string();
        for fragment in fragments {
            assert!(error.contains(fragment), "{error} lacks {fragment:?}");
        }
    }
    let fleet = fleet(Distribution::constant(seconds(1.0)), Mode::Tokens);
    let points: Iterations = "50=9,100=5".parse().expect("is a curve");
    check(fixed_fleet(&fleet, 20, &points), &["from 1 to 20", "50=9,100=5", "beyond"]);
    check(fixed_fleet(&fleet, 20, &Iterations::Points(vec![])), &["no points"]);
    check(fixed_fleet(&fleet, 0, &Iterations::Inverse), &["is 0", "at least 1"]);
    check(fixed_fleet(&fleet, usize::MAX, &Iterations::Inverse), &["at most"]);
    check(fixed_batch(&fleet, 0, 3), &["is 0", "at least 1"]);
    check(fixed_batch(&fleet, 1, usize::MAX), &["at most"]);
}

#[test]
fn no_question_takes_much_more_than_its_budget() {
    for machines in 1..=Plan::MOST_REPLICAS {
        let replica_steps = estimate::replica_steps(BUDGET, machines);
        // Even of very many machines, eight choices are simulated, of 600 steps each.
        let most = (2 * BUDGET).max(8 * 600 * machines);
        assert!(replica_steps <= most, "{machines}: {replica_steps}");
    }
}
