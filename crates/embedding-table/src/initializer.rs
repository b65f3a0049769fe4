//! The values of rows that no update has made.
//!
//! Counter-based: any column of any row is computed by itself, in operations that every machine
//! rounds alike. With *s* the output of SplitMix64, *h* that of XXH3-64 and *γ* its increment, the
//! stream of a row is *s*(*s*(seed ⊕ *h*(name)) ⊕ *s*(key)), and its *n*-th number in [0, 1) is the
//! upper 53 bits of *s*(stream + *n* γ). A uniform column *n* is made of the *n*-th, normal columns
//! 2*n* and 2*n* + 1 of the same two.

use crate::Number;
use crate::key::{GAMMA, split_mix};

/// How the values of a row start.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Initializer {
    /// The same everywhere.
    Constant(f64),
    /// Evenly from `low` to `high`.
    Uniform {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
    },
    /// Normally, by Box and Muller's transform.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
}

impl Initializer {
    /// Whether it makes finite numbers of `f32`; if not, what must hold.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        let fits = |number: f64| (number as f32).is_finite();
        match self {
            Self::Constant(value) if !fits(value) => Err("finite"),
            Self::Uniform { low, high } if !(fits(low) && fits(high) && low <= high) => {
                Err("from a finite number to one that is not below it")
            }
            // No draw is further from the mean than nine deviations.
            Self::Normal { mean, deviation } if !(deviation >= 0.0 && fits(mean)) => {
                Err("of a finite mean and a deviation that is not negative")
            }
            Self::Normal { mean, deviation } if !fits(mean.abs() + 9.0 * deviation) => {
                Err("of finite draws")
            }
            _ => Ok(()),
        }
    }

    /// Fills a row of the table with this stream of numbers.
    pub(crate) fn fill<T: Number>(self, stream: u64, row: &mut [T]) {
        // 53 bits, evenly in [0, 1).
        let uniform = |n: u64| {
            let bits = split_mix(stream.wrapping_add(GAMMA.wrapping_mul(n))) >> 11;
            bits as f64 / (1_u64 << 53) as f64
        };
        match self {
            Self::Constant(value) => row.fill(T::rounded(value)),
            Self::Uniform { low, high } => {
                for (n, value) in (0..).zip(row) {
                    *value = T::rounded(low + (high - low) * uniform(n));
                }
            }
            Self::Normal { mean, deviation } => {
                for (n, pair) in (0..).zip(row.chunks_mut(2)) {
                    // 1 - u is above zero, so the logarithm is finite.
                    let radius = (-2.0 * libm::log(1.0 - uniform(2 * n))).sqrt();
                    let (sine, cosine) =
                        libm::sincos(2.0 * std::f64::consts::PI * uniform(2 * n + 1));
                    for (value, direction) in pair.iter_mut().zip([cosine, sine]) {
                        *value = T::rounded(mean + deviation * radius * direction);
                    }
                }
            }
        }
    }
}
