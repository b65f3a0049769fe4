//! Values in buckets of the same width, from the least to the greatest.
//!
//! Values that are not finite are in none.

/// As many as TensorBoard draws.
const BUCKETS: usize = 30;

/// How many values are where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Buckets {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) sum_of_squares: f64,
    /// The upper end of each.
    pub(super) limits: Vec<f64>,
    /// How many values are in each.
    pub(super) counts: Vec<f64>,
}

impl Buckets {
    /// Nothing if no value is finite.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
        // From the nearer end and part by part, since the whole width may be infinite.
        let width = max / BUCKETS as f64 - min / BUCKETS as f64;
        let limit = |bucket: usize| match bucket <= BUCKETS / 2 {
            true => min + width * bucket as f64,
            false => max - width * (BUCKETS - bucket) as f64,
        };
        let mut counts = vec![0.0; BUCKETS];
        for value in finite() {
            let bucket = (value / width - min / width) as usize;
            counts[bucket.min(BUCKETS - 1)] += 1.0;
        }
        Some(Self {
            min,
            max,
            count: finite().count() as f64,
            sum: finite().sum(),
            sum_of_squares: finite().map(|value| value * value).sum(),
            limits: (1..=BUCKETS).map(limit).collect(),
            counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finite_value_is_in_one_bucket() {
        #[track_caller]
        fn check(values: &[f64], min: f64, max: f64, places: &[usize]) {
            let buckets = Buckets::of(values).expect("some are finite");
            assert_eq!((buckets.min, buckets.max), (min, max));
            let mut counts = vec![0.0; BUCKETS];
            places.iter().for_each(|place| counts[*place] += 1.0);
            assert_eq!(buckets.counts, counts, "{values:?}");
            assert_eq!(buckets.count, places.len() as f64);
            assert!(buckets.limits.is_sorted() && buckets.limits.iter().all(|it| it.is_finite()));
            assert_eq!(buckets.limits.last(), Some(&max));
        }
        check(&[0.0, 30.0, 14.5], 0.0, 30.0, &[0, 14, 29]);
        check(&[-3.0, 3.0, f64::NAN, f64::INFINITY, -2.95], -3.0, 3.0, &[0, 0, 29]);
        check(&[7.0, 7.0], 7.0, 7.0, &[0, 0]);
        check(&[-1e308, 1e308], -1e308, 1e308, &[0, 29]);
        assert_eq!(Buckets::of(&[]), None);
        assert_eq!(Buckets::of(&[f64::NAN, f64::NEG_INFINITY]), None);
    }
}
