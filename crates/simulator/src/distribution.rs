//! Distributions of random times: those of replicas' computing, and of all else that is drawn.
//!
//! Times are drawn by inverting the distribution function, with `libm`'s functions rather than the
//! platform's, so that a seed gives the same times on every platform. Crates of distributions
//! promise that neither across platforms nor across their versions, and need not draw the same
//! number of numbers each time. Its invariant: a distribution read from a plan draws finite times,
//! not below zero.

mod correlated;
mod normal;
mod number;

use std::time::Duration;

use serde::Deserialize;

pub(crate) use correlated::Correlated;
pub use number::{Above, Correlation, NumberError, Probability, Seconds};

use crate::stream::Stream;

/// The distribution of a random time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Distribution {
    /// Always the same.
    Constant {
        /// The time; where a factor is drawn, a plan calls it so.
        #[serde(alias = "factor")]
        seconds: Seconds,
    },
    /// Memoryless: P(T > t) = exp(-t / `mean`).
    Exponential {
        /// The mean.
        mean: Seconds,
    },
    /// `least` and then an exponential time; the usual model of a machine with stragglers.
    ShiftedExponential {
        /// The part common to every draw.
        least: Seconds,
        /// The mean of the rest.
        mean_excess: Seconds,
    },
    /// exp of a normal with mean ln `median` and standard deviation `sigma`.
    LogNormal {
        /// The median.
        median: Seconds,
        /// The spread, of the logarithm.
        sigma: Above,
    },
    /// A heavy tail: P(T > t) = (`least` / t)^`alpha`, cut off at `most`.
    Pareto {
        /// The shortest time.
        least: Seconds,
        /// The tail's index: the smaller, the heavier.
        alpha: Above,
        /// Longer draws are shortened to this.
        most: Option<Seconds>,
    },
    /// Usually `body`; with some probability a `straggler`, each time anew.
    Mixture {
        /// Of a straggler.
        probability: Probability,
        /// The usual time.
        body: Box<Distribution>,
        /// A straggler's time.
        straggler: Box<Distribution>,
    },
    /// One of these measured values, each as likely.
    Samples {
        /// The measured times, or factors.
        #[serde(alias = "factors")]
        seconds: Samples,
    },
}

/// Measured times, at least one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Seconds>")]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The times, in the order given.
    #[must_use]
    pub fn seconds(&self) -> &[f64] {
        &self.0
    }
}

impl TryFrom<Vec<Seconds>> for Samples {
    type Error = NumberError;

    fn try_from(seconds: Vec<Seconds>) -> Result<Self, NumberError> {
        if seconds.is_empty() {
            return Err(NumberError::Empty);
        }
        Ok(Self(seconds.into_iter().map(Seconds::get).collect()))
    }
}

impl Distribution {
    /// A distribution that always gives this time.
    #[must_use]
    pub fn constant(seconds: Seconds) -> Self {
        Self::Constant { seconds }
    }

    /// A distribution that gives the measured values.
    ///
    /// # Errors
    /// [`NumberError`] when nothing was measured, or a time is invalid.
    pub fn samples(seconds: &[f64]) -> Result<Self, NumberError> {
        let seconds = seconds.iter().copied().map(Seconds::try_from);
        let seconds = Samples::try_from(seconds.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Self::Samples { seconds })
    }

    /// Draws a time, in seconds. How many numbers it takes from the stream depends on the
    /// distribution, and for a mixture on nothing else.
    pub(crate) fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Constant { seconds } => seconds.get(),
            Self::LogNormal { median, sigma } => {
                log_normal(*median, *sigma, normal::quantile(stream.uniform()))
            }
            Self::Mixture { probability, body, straggler } => {
                let part = if stream.uniform() < probability.get() { straggler } else { body };
                part.draw(stream)
            }
            Self::Samples { seconds } => {
                let seconds = seconds.seconds();
                seconds[stream.below(seconds.len())]
            }
            Self::Exponential { .. } | Self::ShiftedExponential { .. } | Self::Pareto { .. } => {
                self.exceeded(stream.uniform())
            }
        }
    }

    /// The time that is exceeded with a probability above 0 and below 1; of samples, if they
    /// ascend. A mixture's stragglers are taken for its slow end.
    fn exceeded(&self, p: f64) -> f64 {
        match self {
            Self::Constant { seconds } => seconds.get(),
            Self::Exponential { mean } => -mean.get() * libm::log(p),
            Self::ShiftedExponential { least, mean_excess } => {
                least.get() - mean_excess.get() * libm::log(p)
            }
            Self::LogNormal { median, sigma } => log_normal(*median, *sigma, -normal::quantile(p)),
            Self::Pareto { least, alpha, most } => {
                let time = times(least.get(), libm::pow(p, -1.0 / alpha.get()));
                time.min(most.map_or(LONGEST, Seconds::get))
            }
            Self::Mixture { probability, body, straggler } => {
                let slow = probability.get();
                if p < slow {
                    straggler.exceeded(normal::inside(p / slow))
                } else {
                    body.exceeded(normal::inside((p - slow) / (1.0 - slow)))
                }
            }
            Self::Samples { seconds } => {
                let (seconds, last) = (seconds.seconds(), seconds.seconds().len() - 1);
                seconds[last - last.min((p * seconds.len() as f64) as usize)]
            }
        }
    }

    /// Draws a time.
    pub(crate) fn draw_time(&self, stream: &mut Stream) -> Duration {
        time(self.draw(stream))
    }

    /// Draws a factor, which is kept from a millionth to a million.
    pub(crate) fn draw_factor(&self, stream: &mut Stream) -> f64 {
        self.draw(stream).clamp(1e-6, 1e6)
    }

    /// Whether it can give no time at all.
    pub(crate) fn may_be_zero(&self) -> bool {
        let zero = Seconds::default();
        match self {
            Self::Constant { seconds } => *seconds == zero,
            Self::Exponential { mean } => *mean == zero,
            Self::ShiftedExponential { least, mean_excess } => {
                *least == zero && *mean_excess == zero
            }
            Self::LogNormal { median, .. } => *median == zero,
            Self::Pareto { least, most, .. } => *least == zero || *most == Some(zero),
            Self::Mixture { body, straggler, .. } => body.may_be_zero() || straggler.may_be_zero(),
            Self::Samples { seconds } => seconds.seconds().contains(&0.0),
        }
    }
}

/// The time whose logarithm lies so many standard deviations above the median's.
fn log_normal(median: Seconds, sigma: Above, deviations: f64) -> f64 {
    times(median.get(), libm::exp(sigma.get() * deviations))
}

/// A multiple of a time, also where the factor is beyond all numbers: of no time it is none.
fn times(seconds: f64, factor: f64) -> f64 {
    if seconds == 0.0 { 0.0 } else { seconds * factor }
}

/// No time is longer: thirty years.
pub(crate) const LONGEST: f64 = 1e9;

/// Seconds as the engine takes them, to the nanosecond.
pub(crate) fn time(seconds: f64) -> Duration {
    Duration::from_nanos((seconds.min(LONGEST) * 1e9).round() as u64)
}

#[cfg(test)]
mod tests;
