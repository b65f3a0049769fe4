//! Counts of values by size: the summary of values too many to keep.

/// Upper bounds of times in seconds: three in each power of ten.
const SECONDS: &[f64] = &[
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0,
];

/// Upper bounds of counts.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// Upper bounds of sizes in bytes: a kilobyte to a terabyte.
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// How many values there were of which size, and their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// By bound, and one more for what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Of times in seconds, from ten microseconds to a hundred seconds.
    #[must_use]
    pub fn of_seconds() -> Self {
        Self::new(SECONDS)
    }

    /// Of small whole numbers.
    #[must_use]
    pub fn of_counts() -> Self {
        Self::new(COUNTS)
    }

    /// Of sizes in bytes, from a kilobyte to a terabyte.
    #[must_use]
    pub fn of_bytes() -> Self {
        Self::new(BYTES)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value.
    pub fn add(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Each upper bound, and how many values lie between the bound before and this one, inclusive;
    /// the last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_least_bound_that_it_does_not_exceed() {
        let mut counts = Histogram::of_counts();
        [0.0, 0.5, 1.0, 4.0, 1e9].into_iter().for_each(|value| counts.add(value));
        let buckets: Vec<_> = counts.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(buckets, [(0.0, 1), (1.0, 2), (5.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((counts.count(), counts.sum()), (5, 1e9 + 5.5));
    }
}
