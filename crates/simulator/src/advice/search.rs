//! Which choices to simulate, and which of those is best.
//!
//! Its invariant: every choice is considered. If simulating all of them would take too long, the
//! formula compares all, and tells which are worth it. Since tokens differ from the formula, some
//! all over the range are also simulated, and then the neighbours of the best.

use super::estimate::{Candidate, Estimate, affordable, estimate, half_width};
use super::{Advice, AdviceError, Best, Choice, Fleet, bootstrap, formula};
use crate::stats::mean;

pub(super) struct Search<'a> {
    pub(super) budget: usize,
    pub(super) fleet: &'a Fleet,
    pub(super) candidates: &'a [Candidate],
    /// Whether there are more choices before the first and after the last candidate.
    pub(super) open: (bool, bool),
}

impl Search<'_> {
    pub(super) fn advise(&self) -> Result<Advice, AdviceError> {
        if let Some(replay) = self.fleet.steps() {
            let estimates = bootstrap::estimates(replay, self.candidates, self.fleet.plan.seed);
            return Ok(self.compared(estimates.into_iter().map(Some).collect()));
        }
        let all = self.candidates.len();
        let largest = self.candidates.iter().map(Candidate::machines).max().unwrap_or(1);
        let count = affordable(self.budget, largest);
        let mut estimates: Vec<Option<Estimate>> = (0..all).map(|_| None).collect();
        if all <= count {
            self.simulate(&mut estimates, (0..all).collect())?;
        } else {
            let seconds = formula::step_seconds(self.budget, self.fleet, self.candidates)?;
            self.simulate(&mut estimates, self.promising(&seconds, count - count / 4))?;
            let neighbours = self.nearest_to_best(&estimates, count / 4);
            self.simulate(&mut estimates, neighbours)?;
        }
        Ok(self.compared(estimates))
    }

    /// So many places: a third all over the range, and those of the least cost and shortest step.
    fn promising(&self, seconds: &[f64], count: usize) -> Vec<usize> {
        let (all, spread) = (seconds.len(), (count / 3).max(2));
        let cost = |place: &usize| seconds[*place] * self.candidates[*place].weight;
        let mut by_cost: Vec<usize> = (0..all).collect();
        by_cost.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let mut by_time: Vec<usize> = (0..all).collect();
        by_time.sort_by(|a, b| seconds[*a].total_cmp(&seconds[*b]));
        let mut places: Vec<usize> =
            (0..spread).map(|part| part * (all - 1) / (spread - 1)).collect();
        // The shortest step is asked for as well, but is seldom hard to find.
        places.extend(by_time.into_iter().take(spread / 3));
        for place in by_cost {
            if places.len() < count && !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// So many places around the best that were not simulated yet.
    fn nearest_to_best(&self, estimates: &[Option<Estimate>], count: usize) -> Vec<usize> {
        let cost = |place: &usize| {
            let estimate = estimates[*place].as_ref().filter(|estimate| !estimate.lower_bound);
            estimate.map_or(f64::INFINITY, |it| it.mean() * self.candidates[*place].weight)
        };
        let all = 0..estimates.len();
        let best = all.clone().min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        let mut places: Vec<usize> = all.filter(|place| estimates[*place].is_none()).collect();
        places.sort_by_key(|place| place.abs_diff(best));
        places.truncate(count);
        places
    }

    fn simulate(
        &self,
        estimates: &mut [Option<Estimate>],
        places: Vec<usize>,
    ) -> Result<(), AdviceError> {
        // What all that will be simulated takes, so that each gets as many steps.
        let machines = self.candidates.iter().map(Candidate::machines);
        let largest = machines.clone().max().unwrap_or(1);
        let replica_steps = machines.sum::<usize>().min(affordable(self.budget, largest) * largest);
        for place in places {
            if estimates[place].is_none() {
                let candidate = &self.candidates[place];
                estimates[place] =
                    Some(estimate(self.budget, self.fleet, candidate, replica_steps)?);
            }
        }
        Ok(())
    }

    fn compared(&self, estimates: Vec<Option<Estimate>>) -> Advice {
        let is_measured = self.fleet.measured.is_some();
        let all = estimates.len();
        let simulated: Vec<(&Candidate, Estimate)> = self
            .candidates
            .iter()
            .zip(estimates)
            .filter_map(|(candidate, estimate)| Some((candidate, estimate?)))
            .collect();
        let costs = |weight: fn(&Candidate) -> f64| -> Vec<Vec<f64>> {
            let costs = simulated.iter().map(|(candidate, estimate)| {
                estimate.means.iter().map(|mean| mean * weight(candidate)).collect()
            });
            costs.collect()
        };
        let known: Vec<bool> = simulated.iter().map(|(_, it)| !it.lower_bound).collect();
        let choices: Vec<Choice> =
            simulated.iter().map(|(it, estimate)| Choice::new(it, estimate, is_measured)).collect();
        Advice {
            by_formula_alone: all - choices.len(),
            best: self.best(&costs(|candidate| candidate.weight), &known),
            fastest: self.best(&costs(|_| 1.0), &known),
            choices,
        }
    }

    /// The least mean cost, among the known ones if there are any, and those that are not surely
    /// worse.
    fn best(&self, costs: &[Vec<f64>], known: &[bool]) -> Best {
        let is_measured = self.fleet.measured.is_some();
        let any = known.contains(&true);
        let places = || (0..costs.len()).filter(|&place| known[place] || !any);
        let mean_of = |place: usize| mean(&costs[place]);
        let index = places().min_by(|a, b| mean_of(*a).total_cmp(&mean_of(*b))).unwrap_or(0);
        let as_good = |place: &usize| {
            let more: Vec<f64> =
                costs[*place].iter().zip(&costs[index]).map(|(one, best)| one - best).collect();
            mean(&more) <= half_width(&more, is_measured)
        };
        let good: Vec<usize> = places().filter(as_good).collect();
        let ends = good.first().zip(good.last()).map(|(first, last)| (*first, *last));
        let (from, to) = ends.unwrap_or((index, index));
        let at_edge = (self.open.0 && from == 0) || (self.open.1 && to + 1 == costs.len());
        Best { index, as_good: (from, to), at_edge }
    }
}
