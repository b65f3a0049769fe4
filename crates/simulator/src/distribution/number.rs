//! Numbers that a plan gives, checked when they are read, so that an error names their line.

use serde::Deserialize;

use super::LONGEST;

/// A time in seconds: finite, not below zero, at most thirty years.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(f64);

/// A number above zero, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Above(f64);

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Probability(f64);

/// How much a draw resembles the one before: from 0, not at all, to below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Correlation(f64);

/// Why a number was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Not a time.
    #[error("expected a time from 0 to 1e9 seconds, got {0}")]
    Seconds(f64),
    /// Not above zero.
    #[error("expected a number above 0 and up to 1e6, got {0}")]
    Above(f64),
    /// Not a probability.
    #[error("expected a probability from 0 to 1, got {0}")]
    Probability(f64),
    /// Not a correlation.
    #[error("expected a correlation from 0 to below 1, got {0}")]
    Correlation(f64),
    /// No samples.
    #[error("expected at least one time, got an empty list")]
    Empty,
}

impl Seconds {
    pub(crate) const ONE: Self = Self(1.0);

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Above {
    pub(crate) const TWO: Self = Self(2.0);
    pub(crate) const THREE: Self = Self(3.0);

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Probability {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Correlation {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Seconds {
    type Error = NumberError;

    fn try_from(number: f64) -> Result<Self, NumberError> {
        // `-0.0` is a time, and is written `0`.
        let fits = (0.0..=LONGEST).contains(&number);
        if fits { Ok(Self(number.abs())) } else { Err(NumberError::Seconds(number)) }
    }
}

impl TryFrom<f64> for Above {
    type Error = NumberError;

    fn try_from(number: f64) -> Result<Self, NumberError> {
        let fits = number > 0.0 && number <= 1e6;
        if fits { Ok(Self(number)) } else { Err(NumberError::Above(number)) }
    }
}

impl TryFrom<f64> for Probability {
    type Error = NumberError;

    fn try_from(number: f64) -> Result<Self, NumberError> {
        let fits = (0.0..=1.0).contains(&number);
        if fits { Ok(Self(number)) } else { Err(NumberError::Probability(number)) }
    }
}

impl TryFrom<f64> for Correlation {
    type Error = NumberError;

    fn try_from(number: f64) -> Result<Self, NumberError> {
        let fits = (0.0..1.0).contains(&number);
        if fits { Ok(Self(number.abs())) } else { Err(NumberError::Correlation(number)) }
    }
}
