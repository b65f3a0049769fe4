//! the expected time of the k-th of n gradients, where it is known in closed form.
//!
//! Exponential: H_n - H_(n-k). Pareto with index a: Γ(n+1) Γ(n-k+1-1/a) / (Γ(n-k+1) Γ(n+1-1/a)).
//! Where n-k+1 <= 2/a the variance is infinite and no mean of a sample comes near for sure; there
//! the median is looked at, which is where F^n = 1/2 for k = n.

use super::{Check, Kind};
use crate::distribution::{Above, Distribution, Seconds};
use crate::ideal::Arrivals;
use crate::plan::Plan;
use crate::stats::{deviation, mean};

const STEPS: usize = 100_000;

/// k, n, and the expectations for Exp(1), Pareto(1, 2), Pareto(1, 3).
const TABLE: [(usize, usize, [f64; 3]); 8] = [
    (100, 100, [5.187_378, 17.746_708, 6.292_242]),
    (98, 100, [3.687_378, 6.655_015, 3.495_690]),
    (96, 100, [3.104_044, 4.852_615, 2.848_340]),
    (90, 100, [2.258_409, 3.126_918, 2.133_137]),
    (50, 50, [4.499_205, 12.564_513, 4.999_699]),
    (50, 53, [2.723_579, 4.041_915, 2.517_095]),
    (50, 54, [2.492_097, 3.569_729, 2.321_668]),
    (2, 3, [0.833_333, 1.6, 1.35]),
];

fn distributions() -> [(Distribution, f64); 3] {
    let one = Seconds::ONE;
    let pareto = |alpha| Distribution::Pareto { least: one, alpha, most: None };
    [
        (Distribution::Exponential { mean: one }, f64::INFINITY),
        (pareto(Above::TWO), 2.0),
        (pareto(Above::THREE), 3.0),
    ]
}

pub(super) fn check() -> Check {
    let mut worst: f64 = 0.0;
    let mut values = 0;
    for (column, (distribution, index)) in distributions().into_iter().enumerate() {
        for total in [100, 50, 53, 54, 3] {
            let rows = TABLE.iter().filter(|(_, n, _)| *n == total);
            let rows: Vec<_> = rows.map(|(k, n, row)| (*k, *n, row[column])).collect();
            for (k, times, expected) in sample(&distribution, total, &rows) {
                worst = worst.max(deviations(&times, expected, (total - k + 1) as f64, index, k));
                values += 1;
            }
        }
    }
    Check {
        id: "Q-4",
        claim: "the expected k-th of n arrivals of three distributions, within 3 standard errors",
        source: "order statistics, in closed form",
        mode: "ideal",
        kind: Kind::Exact,
        got: format!("{values} values of {STEPS} steps each, the farthest {worst:.2} errors away"),
        holds: worst <= 3.0,
    }
}

/// The times of each row's k-th arrival, all rows from the same steps.
fn sample(
    distribution: &Distribution,
    total: usize,
    rows: &[(usize, usize, f64)],
) -> Vec<(usize, Vec<f64>, f64)> {
    let Ok(plan) = Plan::new(distribution.clone(), 1, total) else { return Vec::new() };
    let mut arrivals = Arrivals::new(&plan);
    let mut found: Vec<_> = rows.iter().map(|&(k, _, mean)| (k, Vec::new(), mean)).collect();
    for _ in 0..STEPS {
        let times = arrivals.step();
        for (k, list, _) in &mut found {
            list.push(times[*k - 1].arrives);
        }
    }
    found
}

/// How many standard errors the sample is from what is expected.
fn deviations(times: &[f64], expected: f64, later: f64, index: f64, k: usize) -> f64 {
    let count = times.len() as f64;
    if later > 2.0 / index {
        return (mean(times) - expected).abs() / (deviation(times) / count.sqrt());
    }
    let median = libm::pow(1.0 - libm::pow(0.5, 1.0 / k as f64), -1.0 / index);
    let below = times.iter().filter(|time| **time <= median).count() as f64;
    (below - count / 2.0).abs() / (count / 4.0).sqrt()
}
