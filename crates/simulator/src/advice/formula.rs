//! All choices by the formula at once: how long a step takes if all replicas begin it together.
//!
//! One draw of the largest fleet's times serves every choice, so that comparing all of them costs
//! as much as computing one.

use std::collections::BinaryHeap;

use super::estimate::{Candidate, REPLICATIONS, drawn};
use super::{AdviceError, Fleet};
use crate::distribution::time;
use crate::ideal::Arrivals;

/// The mean step of each choice, up to what all have in common. All candidates have the same A or
/// the same N, and they ascend; no A is above its N.
pub(super) fn step_seconds(
    budget: usize,
    fleet: &Fleet,
    candidates: &[Candidate],
) -> Result<Vec<f64>, AdviceError> {
    let mut sums = vec![0.0; candidates.len()];
    let Some((first, last)) = candidates.first().zip(candidates.last()) else { return Ok(sums) };
    let is_fleet = first.total == last.total;
    // The times of the largest fleet, none of which the formula needs a second batch for.
    let largest = Candidate { aggregate: 1, ..last.clone() };
    // An arrival costs less here than in the engine, but this is only where the search begins.
    let steps = (budget / 5 / (last.total * REPLICATIONS as usize)).max(5);
    for replication in 0..REPLICATIONS {
        let (plan, _) = drawn(fleet, &largest, replication)?;
        let mut arrivals = Arrivals::new(&plan);
        for _ in 0..steps {
            if is_fleet {
                let times = arrivals.step();
                for (sum, candidate) in sums.iter_mut().zip(candidates) {
                    *sum += times[candidate.aggregate - 1].arrives;
                }
            } else {
                let times = arrivals.by_replica().iter().map(|it| time(it.arrives).as_nanos());
                add_earliest(&mut sums, candidates, times);
            }
        }
    }
    // Each replica lengthens the way of every gradient.
    let way = |candidate: &Candidate| fleet.plan.network_per_replica.get() * candidate.total as f64;
    let update = fleet.plan.update.as_ref().map_or(0.0, |update| mean_of(update, fleet.plan.seed));
    let count = (steps * REPLICATIONS as usize) as f64;
    let mean = |(sum, candidate)| sum / count + way(candidate) - way(last) + update;
    Ok(sums.into_iter().zip(candidates).map(mean).collect())
}

/// Adds each candidate's A-th arrival of its first N.
fn add_earliest(sums: &mut [f64], candidates: &[Candidate], mut times: impl Iterator<Item = u128>) {
    // The A earliest of those that came so far, the latest of them on top.
    let mut earliest = BinaryHeap::new();
    let mut come = 0;
    for (sum, candidate) in sums.iter_mut().zip(candidates) {
        for time in times.by_ref().take(candidate.total - come) {
            earliest.push(time);
            if earliest.len() > candidate.aggregate {
                earliest.pop();
            }
        }
        come = candidate.total;
        *sum += earliest.peek().map_or(0.0, |&nanoseconds| nanoseconds as f64 * 1e-9);
    }
}

/// The mean of some draws.
fn mean_of(distribution: &crate::distribution::Distribution, seed: u64) -> f64 {
    const DRAWS: usize = 1000;
    let mut stream = crate::stream::Stream::of_updates(seed);
    (0..DRAWS).map(|_| distribution.draw_time(&mut stream).as_secs_f64()).sum::<f64>()
        / DRAWS as f64
}
