//! a published trace of steps, in which slowness follows the batch.
//!
//! Fitted: the four numbers of the distribution's shape were chosen for these, so they show that a
//! mixture of two kinds of batches can look like the trace, and no more. What backups gain follows
//! from how late the slowest are.

use super::{Check, Kind, carried_for};
use crate::ideal::Arrivals;
use crate::stats::mean;

const PLAN: &str = "bytedance-sequences";
const REPLICAS: usize = 32;
/// The k-th slowest over the step's median, k = 32 to 28.
const LATENESS: [f64; 5] = [1.278, 1.200, 1.159, 1.139, 1.120];
/// How many times longer a step takes without backups than with 1 to 5.
const GAINS: [f64; 5] = [1.065, 1.103, 1.122, 1.141, 1.155];
const WITHIN: f64 = 0.02;
const SOURCE: &str = "ByteDance, traces to Lin and others, OSDI 2025; 45 steps of one job";

pub(super) fn checks() -> [Check; 2] {
    let plan = carried_for(PLAN, REPLICAS, REPLICAS);
    let mut arrivals = Arrivals::new(&plan);
    let (mut lateness, mut seconds) = (vec![Vec::new(); 6], vec![Vec::new(); 6]);
    for _ in 0..plan.steps {
        let times = arrivals.step();
        let median = (times[REPLICAS / 2 - 1].arrives + times[REPLICAS / 2].arrives) / 2.0;
        for (place, time) in times.iter().rev().take(6).enumerate() {
            lateness[place].push(time.arrives / median);
            seconds[place].push(time.arrives);
        }
    }
    let means: Vec<f64> = seconds.iter().map(|list| mean(list)).collect();
    let gains: Vec<f64> = means[1..].iter().map(|shorter| means[0] / shorter).collect();
    let lateness: Vec<f64> = lateness[..5].iter().map(|list| mean(list)).collect();
    [
        check(
            "Q-10",
            "the k-th slowest of 32 takes 1.278, 1.200, 1.159, 1.139, 1.120 times the step's \
             median, k = 32 to 28; within 2 %",
            &lateness,
            &LATENESS,
        ),
        check(
            "Q-11",
            "1 to 5 backups of 32 make a step 1.065, 1.103, 1.122, 1.141, 1.155 times shorter; \
             within 2 %",
            &gains,
            &GAINS,
        ),
    ]
}

fn check(id: &'static str, claim: &'static str, got: &[f64], published: &[f64]) -> Check {
    let is_near = |(got, published): (&f64, &f64)| (got / published - 1.0).abs() <= WITHIN;
    let list: Vec<_> = got.iter().map(|number| format!("{number:.3}")).collect();
    Check {
        id,
        claim,
        source: SOURCE,
        mode: "ideal",
        kind: Kind::Fitted,
        got: list.join(", "),
        holds: got.iter().zip(published).all(is_near),
    }
}
