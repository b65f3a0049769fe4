//! What it gains to replace slow replicas, and to leave them behind.

use serde::Serialize;

use super::replay::{Replay, StepTimes};
use crate::stats::mean;

/// The gains of two remedies for slow replicas: gradients for each machine and second, over what
/// the fleet does now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remedy {
    /// The slow replicas.
    pub replicas: Vec<i64>,
    /// The present A.
    pub replicas_to_aggregate: usize,
    /// With usual machines in their place.
    pub replaced: Work,
    /// With a backup for each of them, so that steps do not wait for them.
    pub backups: Work,
}

/// How much work a choice of A does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Work {
    /// A, the gradients that a step needs.
    pub replicas_to_aggregate: usize,
    /// Gradients for each machine and second, over those of now.
    pub times: f64,
    /// Half the width of its 95 % interval.
    pub plus_minus: f64,
}

/// Waiting for all is preferred unless another A does so many times its work.
const WORTH_BACKUPS: f64 = 1.02;

impl Replay {
    /// The remedies for some replicas, by their places, where so many gradients make a step now;
    /// `None` if it is all of them, or none.
    #[must_use]
    pub fn remedy(&self, slow: &[usize], aggregate: usize, seed: u64) -> Option<Remedy> {
        let all = self.machines();
        if slow.is_empty() || slow.len() >= all || !(1..=all).contains(&aggregate) {
            return None;
        }
        let now = self.step_times(all - 1);
        let replaced = self.replaced(slow, seed).step_times(all - 1);
        let rate = |of: &[StepTimes], aggregate: usize, places: Option<&[usize]>| {
            let seconds = &of[all - aggregate].seconds;
            let mean = match places {
                Some(places) => mean(&places.iter().map(|it| seconds[*it]).collect::<Vec<_>>()),
                None => mean(seconds),
            };
            aggregate as f64 / mean.max(f64::MIN_POSITIVE)
        };
        let work = |of: &[StepTimes], with: usize| Work {
            replicas_to_aggregate: with,
            times: rate(of, with, None) / rate(&now, aggregate, None),
            plus_minus: self.half_width(seed, |places| {
                rate(of, with, Some(places)) / rate(&now, aggregate, Some(places))
            }),
        };
        let known = (1..=all).filter(|with| !replaced[all - with].is_bound());
        let best =
            known.max_by(|a, b| rate(&replaced, *a, None).total_cmp(&rate(&replaced, *b, None)));
        let best = best.unwrap_or(all);
        let is_worth = replaced[0].is_bound()
            || rate(&replaced, best, None) > WORTH_BACKUPS * rate(&replaced, all, None);
        Some(Remedy {
            replicas: slow.iter().map(|place| self.names()[*place]).collect(),
            replicas_to_aggregate: aggregate,
            replaced: work(&replaced, if is_worth { best } else { all }),
            backups: work(&now, all - slow.len()),
        })
    }
}
