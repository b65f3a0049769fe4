//! Means, spreads and quantiles of simulated times, and how sure they are.

use serde::Serialize;

/// A sample of times in seconds, described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard error of the mean, from the means of stretches of the run, since the steps of a
    /// run depend on each other.
    pub standard_error: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub longest: f64,
}

/// Stretches into which a run is cut for the standard error.
const STRETCHES: usize = 50;

impl Spread {
    /// Describes times in the order in which they came; all zero if there are none.
    #[must_use]
    pub fn of(seconds: &[f64]) -> Self {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            mean: mean(seconds),
            standard_error: error_of_mean(seconds),
            deviation: deviation(seconds),
            p50: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
            longest: sorted.last().copied().unwrap_or(0.0),
        }
    }
}

/// The mean; 0 of nothing.
#[must_use]
pub fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 }
}

/// The standard deviation of the population that the numbers are a sample of.
#[must_use]
pub fn deviation(numbers: &[f64]) -> f64 {
    if numbers.len() < 2 {
        return 0.0;
    }
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
    (squares / (numbers.len() - 1) as f64).sqrt()
}

/// The number below which a part `p` of ascending numbers lies, between neighbours in proportion.
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = p.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = sorted[last.min(below + 1)];
    sorted[below] + (place - below as f64) * (above - sorted[below])
}

/// The standard error of the mean of numbers that depend on their neighbours, if they do so over
/// less than a stretch.
#[must_use]
pub fn error_of_mean(numbers: &[f64]) -> f64 {
    let stretch = (numbers.len() / STRETCHES).max(1);
    let means: Vec<f64> = numbers.chunks_exact(stretch).map(mean).collect();
    if means.is_empty() { 0.0 } else { deviation(&means) / (means.len() as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_those_of_school() {
        #[track_caller]
        fn check(numbers: &[f64], expected: [f64; 4]) {
            let Spread { mean, deviation, p50, p90, .. } = Spread::of(numbers);
            for (got, expected) in [mean, deviation, p50, p90].into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-12, "{got}, not {expected}");
            }
        }
        check(&[], [0.0; 4]);
        check(&[3.0], [3.0, 0.0, 3.0, 3.0]);
        check(&[4.0, 2.0], [3.0, 2_f64.sqrt(), 3.0, 3.8]);
        check(&[1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 2.5_f64.sqrt(), 3.0, 4.6]);
    }

    #[test]
    fn neighbours_that_are_alike_make_the_mean_less_sure() {
        let alternating: Vec<f64> = (0..1000).map(|n| f64::from(n % 2)).collect();
        let in_blocks: Vec<f64> = (0..1000).map(|n| f64::from(n / 100 % 2)).collect();
        assert!(error_of_mean(&alternating) < 1e-9);
        assert!(error_of_mean(&in_blocks) > 0.05);
    }
}
