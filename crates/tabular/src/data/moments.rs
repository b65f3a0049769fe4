//! The mean of a column's numbers and their distance from it.

/// The mean and the sum of squares around it (Welford 1962).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    count: u64,
    pub(crate) mean: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn deviation(&self) -> f64 {
        let deviation = (self.squares / self.count.max(1) as f64).sqrt();
        if deviation.is_finite() && deviation > 0.0 { deviation } else { 1.0 }
    }
}
