//! What chance alone would do: tails, medians of censored numbers, and how long slowness lasts.

use crate::stats::quantile;

/// The probability of at least `hits` of `trials`, each of which hits with probability `p`.
pub(super) fn at_least(hits: usize, trials: usize, p: f64) -> f64 {
    if hits == 0 || p >= 1.0 {
        return 1.0;
    }
    if hits > trials || p <= 0.0 {
        return 0.0;
    }
    let ln_factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    let (ln_p, ln_q) = (libm::log(p), libm::log1p(-p));
    let term = |k: usize| {
        let choices = ln_factorial(trials) - ln_factorial(k) - ln_factorial(trials - k);
        libm::exp(choices + k as f64 * ln_p + (trials - k) as f64 * ln_q)
    };
    (hits..=trials).map(term).sum::<f64>().min(1.0)
}

/// A median, and whether it is a lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Median {
    pub(super) value: f64,
    pub(super) at_least: bool,
}

/// The median of numbers of which some were cut off: those would have been larger. By Kaplan and
/// Meier's estimate, if half of it is known; 0 of nothing.
pub(super) fn median(numbers: impl Iterator<Item = (f64, bool)>) -> Median {
    let mut numbers: Vec<(f64, bool)> = numbers.collect();
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let count = numbers.len();
    if numbers.iter().all(|(_, known)| *known) {
        let sorted: Vec<f64> = numbers.iter().map(|(number, _)| *number).collect();
        return Median { value: quantile(&sorted, 0.5), at_least: false };
    }
    let mut larger = 1.0;
    for (place, (number, known)) in numbers.iter().enumerate() {
        if *known {
            larger *= 1.0 - 1.0 / (count - place) as f64;
            if larger <= 0.5 {
                return Median { value: *number, at_least: false };
            }
        }
    }
    let sorted: Vec<f64> = numbers.iter().map(|(number, _)| *number).collect();
    Median { value: quantile(&sorted, 0.5), at_least: true }
}

/// The correlation of each number with the one before it, from -1 to 1; single outliers count for
/// little.
pub(super) fn lag_1(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = quantile(&sorted, 0.5);
    let mut distances: Vec<f64> = sorted.iter().map(|number| (number - middle).abs()).collect();
    distances.sort_by(f64::total_cmp);
    // Three standard deviations of a normal distribution, by its median distance.
    let most = 3.0 * 1.4826 * quantile(&distances, 0.5);
    let near: Vec<f64> = numbers.iter().map(|it| (it - middle).clamp(-most, most)).collect();
    let mean = crate::stats::mean(&near);
    let products: f64 = near.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let squares: f64 = near.iter().map(|it| (it - mean) * (it - mean)).sum();
    if squares > 0.0 { products / squares } else { 0.0 }
}

/// How many independent numbers so many correlated ones are worth.
pub(super) fn worth(count: usize, lag_1: f64) -> f64 {
    let lag_1 = lag_1.clamp(0.0, 0.99);
    count as f64 * (1.0 - lag_1) / (1.0 + lag_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_coins() {
        #[track_caller]
        fn check(hits: usize, trials: usize, p: f64, expected: f64) {
            let got = at_least(hits, trials, p);
            assert!((got - expected).abs() < 1e-9, "{got}, not {expected}");
        }
        check(0, 0, 0.5, 1.0);
        check(1, 0, 0.5, 0.0);
        check(2, 2, 0.5, 0.25);
        check(1, 2, 0.5, 0.75);
        check(3, 5, 0.5, 0.5);
        check(20, 20, 0.25, 0.25_f64.powi(20));
        check(3, 4, 0.0, 0.0);
        check(3, 4, 1.0, 1.0);
    }

    #[test]
    fn medians_know_what_was_cut_off() {
        #[track_caller]
        fn check(numbers: &[(f64, bool)], value: f64, at_least: bool) {
            assert_eq!(median(numbers.iter().copied()), Median { value, at_least });
        }
        check(&[], 0.0, false);
        check(&[(4.0, true), (1.0, true)], 2.5, false);
        // The one cut off at 1 was 2 or 4.
        check(&[(1.0, false), (2.0, true), (4.0, true)], 2.0, false);
        check(&[(1.0, true), (2.0, false), (2.0, false)], 2.0, true);
        check(&[(3.0, false)], 3.0, true);
    }

    #[test]
    fn likeness_of_neighbours_is_between_minus_one_and_one() {
        let alternating: Vec<f64> = (0..100).map(|n| f64::from(n % 2)).collect();
        let in_blocks: Vec<f64> = (0..100).map(|n| f64::from(n / 25 % 2)).collect();
        assert!(lag_1(&alternating) < -0.9 && lag_1(&in_blocks) > 0.8);
        assert_eq!((lag_1(&[]), lag_1(&[1.0; 9])), (0.0, 0.0));
        assert_eq!((worth(90, 0.8).round(), worth(90, -0.5)), (10.0, 90.0));
    }
}
