//! Learning rates as functions of the step.
//!
//! A schedule is a plain value: it holds no counter and reads no clock. Invariant: a valid schedule
//! is finite and not negative at every step.

mod text;

use crate::hyper::Checks;
use crate::{HyperParameterError, Real};

pub use self::text::ParseScheduleError;

/// A learning rate for every step *k* = 0, 1, 2, ….
///
/// It can be written on a command line: see its [`FromStr`](std::str::FromStr).
///
/// # Examples
/// ```
/// use optim::Schedule;
///
/// let stairs = Schedule::Exponential { initial: 0.8, decay: 0.5, every: 10, staircase: true };
/// let schedule = Schedule::WarmUp { steps: 4, then: Box::new(stairs) };
/// assert_eq!(schedule.at(0), 0.2);
/// assert_eq!(schedule.at(9), 0.8);
/// assert_eq!(schedule.at(10), 0.4);
/// ```
// R-17
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Schedule {
    /// The same at every step.
    Constant(f64),
    /// *initial · decay^(k / every)*.
    Exponential {
        /// The rate at step 0.
        initial: f64,
        /// The factor for each `every` steps, in [0, 1].
        decay: f64,
        /// The number of steps for one whole factor, at least 1.
        every: u64,
        /// Whether the exponent is rounded down, so that the rate falls in stairs.
        staircase: bool,
    },
    /// *initial / (1 + decay · k / every)*.
    InverseTime {
        /// The rate at step 0.
        initial: f64,
        /// How much the divisor grows in each `every` steps.
        decay: f64,
        /// The number of steps in which it grows by `decay`, at least 1.
        every: u64,
        /// Whether *k / every* is rounded down.
        staircase: bool,
    },
    /// *(initial − end) · (1 − k / steps)^power + end*, and `end` from step `steps` on.
    Polynomial {
        /// The rate at step 0.
        initial: f64,
        /// The rate from step `steps` on.
        end: f64,
        /// The length of the descent, at least 1.
        steps: u64,
        /// The exponent; 1 is a straight line.
        power: f64,
    },
    /// *initial · ((1 − alpha) · (1 + cos(π k / steps)) / 2 + alpha)*, constant from `steps` on.
    Cosine {
        /// The rate at step 0.
        initial: f64,
        /// The length of the half wave, at least 1.
        steps: u64,
        /// The part of the initial rate that is left at the end, in [0, 1].
        alpha: f64,
    },
    /// `values[0]` up to and including step `boundaries[0]`, then `values[1]`, and so on.
    Piecewise {
        /// Ascending steps, the last at which each value but the last one holds.
        boundaries: Vec<u64>,
        /// One value more than there are boundaries.
        values: Vec<f64>,
    },
    /// *(k + 1) / steps* of another schedule before step `steps`, then that schedule itself.
    WarmUp {
        /// The length of the warm-up, at least 1.
        steps: u64,
        /// The schedule after the warm-up, not a warm-up itself; it sees the same *k*.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// The learning rate at step `step`, the number of steps that were finished before.
    ///
    /// # Panics
    /// May panic when [`validate`](Self::validate) refuses the schedule: a piecewise one without
    /// values has no rate, and stairs of no steps have no height. Schedules read from text, and
    /// those of an [`OptimizerState`](crate::OptimizerState), were checked.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Self::Constant(rate) => rate,
            Self::Exponential { initial, decay, every, staircase } => {
                initial * decay.powf(periods(step, every, staircase))
            }
            Self::InverseTime { initial, decay, every, staircase } => {
                initial / (1.0 + decay * periods(step, every, staircase))
            }
            Self::Polynomial { end, steps, .. } if step >= steps => end,
            Self::Polynomial { initial, end, steps, power } if initial < end => {
                // 1 - (1 - k / steps)^power, in the form that keeps its digits when it is small,
                // so that a start that is small beside the end is not lost.
                let gone = -(power * (-(step as f64 / steps as f64)).ln_1p()).exp_m1();
                initial + (end - initial) * gone
            }
            Self::Polynomial { initial, end, steps, power } => {
                (initial - end) * left(step, steps).powf(power) + end
            }
            Self::Cosine { initial, steps, alpha } => {
                // (1 + cos πp) / 2, in the form that keeps its digits when p is nearly 1.
                let wave = (std::f64::consts::FRAC_PI_2 * left(step, steps)).sin().powi(2);
                initial * ((1.0 - alpha) * wave + alpha)
            }
            Self::Piecewise { ref boundaries, ref values } => {
                values[boundaries.partition_point(|&boundary| boundary < step)]
            }
            Self::WarmUp { steps, ref then } if step < steps => {
                then.at(step) * ((step + 1) as f64 / steps as f64)
            }
            Self::WarmUp { ref then, .. } => then.at(step),
        }
    }

    /// The largest rate, over all steps.
    pub(crate) fn most(&self) -> f64 {
        match *self {
            Self::Constant(rate) => rate,
            Self::Exponential { initial, .. }
            | Self::InverseTime { initial, .. }
            | Self::Cosine { initial, .. } => initial,
            Self::Polynomial { initial, end, .. } => initial.max(end),
            Self::Piecewise { ref values, .. } => values.iter().copied().fold(0.0, f64::max),
            Self::WarmUp { ref then, .. } => then.most(),
        }
    }

    /// Checks every number of the schedule, and that all of its rates are numbers of `T`, even
    /// times the largest `factor` that a formula has for them.
    pub(crate) fn validate_for<T: Real>(&self, factor: f64) -> Result<(), HyperParameterError> {
        self.validate()?;
        let most = self.most();
        Checks::<T>::of("learning rate").not_negative("the largest value", most)?;
        let fits = T::of(most * factor).is_finite();
        let allowed = "so small that its products are numbers of the variables' type";
        HyperParameterError::unless(fits, "learning rate", "the largest value", allowed, most)
    }

    /// Checks every number of the schedule.
    ///
    /// # Errors
    /// The first number that the formula cannot take.
    pub fn validate(&self) -> Result<(), HyperParameterError> {
        match *self {
            Self::Constant(rate) => Checks::<f64>::of("learning rate").not_negative("value", rate),
            Self::Exponential { initial, decay, every, .. } => {
                let checks = Checks::<f64>::of("exponential schedule");
                checks.not_negative("initial", initial)?;
                checks.fraction("decay", decay)?;
                checks.at_least_one("every", every)
            }
            Self::InverseTime { initial, decay, every, .. } => {
                let checks = Checks::<f64>::of("inverse-time schedule");
                checks.not_negative("initial", initial)?;
                checks.not_negative("decay", decay)?;
                checks.at_least_one("every", every)
            }
            Self::Polynomial { initial, end, steps, power } => {
                let checks = Checks::<f64>::of("polynomial schedule");
                checks.not_negative("initial", initial)?;
                checks.not_negative("end", end)?;
                checks.at_least_one("steps", steps)?;
                checks.positive("power", power)
            }
            Self::Cosine { initial, steps, alpha } => {
                let checks = Checks::<f64>::of("cosine schedule");
                checks.not_negative("initial", initial)?;
                checks.at_least_one("steps", steps)?;
                checks.fraction("alpha", alpha)
            }
            Self::Piecewise { ref boundaries, ref values } => validate_pieces(boundaries, values),
            Self::WarmUp { steps, ref then } => {
                let checks = Checks::<f64>::of("warm-up schedule");
                checks.at_least_one("steps", steps)?;
                let once = !matches!(**then, Self::WarmUp { .. });
                HyperParameterError::unless(
                    once,
                    "warm-up schedule",
                    "the number of warm-ups",
                    "1",
                    2.0,
                )?;
                then.validate()
            }
        }
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

/// *k / every*, rounded down if it goes in stairs.
fn periods(step: u64, every: u64, staircase: bool) -> f64 {
    if staircase { (step / every) as f64 } else { step as f64 / every as f64 }
}

/// What is left of `steps` at `step`, from 1 down to 0; a difference of integers loses nothing.
fn left(step: u64, steps: u64) -> f64 {
    (steps - step.min(steps)) as f64 / steps as f64
}

fn validate_pieces(boundaries: &[u64], values: &[f64]) -> Result<(), HyperParameterError> {
    const OWNER: &str = "piecewise schedule";
    let checks = Checks::<f64>::of(OWNER);
    HyperParameterError::unless(
        values.len() == boundaries.len() + 1,
        OWNER,
        "the number of values",
        "one more than the number of boundaries",
        values.len() as f64,
    )?;
    for pair in boundaries.windows(2) {
        let ascending = pair[0] < pair[1];
        let allowed = "above the boundary before it";
        HyperParameterError::unless(ascending, OWNER, "boundary", allowed, pair[1] as f64)?;
    }
    values.iter().try_for_each(|&value| checks.not_negative("value", value))
}
