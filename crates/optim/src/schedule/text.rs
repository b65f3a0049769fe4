//! Schedules as text, for command lines and configuration files.
//!
//! Reading also checks the numbers. Invariant: what is written reads back as the same schedule.

use std::fmt;
use std::str::FromStr;

use super::Schedule;
use crate::HyperParameterError;

const KINDS: &str = "a number, exponential, inverse-time, polynomial, cosine, piecewise, \
                     or warm-up";

/// A text is not a schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseScheduleError {
    /// The word before the colon is not a kind of schedule.
    #[error("{kind:?} is no schedule; expected {KINDS}")]
    Kind {
        /// The word.
        kind: String,
    },
    /// Something between the commas is not `name=value`.
    #[error("expected name=value in {schedule} schedule, found {found:?}")]
    Pair {
        /// The kind of schedule.
        schedule: &'static str,
        /// The text.
        found: String,
    },
    /// A parameter is missing.
    #[error("{schedule} schedule needs {parameter}=...")]
    Missing {
        /// The kind of schedule.
        schedule: &'static str,
        /// The parameter's name.
        parameter: &'static str,
    },
    /// A parameter that this schedule does not have, or given twice.
    #[error("{schedule} schedule takes no {parameter:?} here; it takes each of {known} once")]
    Unknown {
        /// The kind of schedule.
        schedule: &'static str,
        /// The parameter's name.
        parameter: String,
        /// The known parameters.
        known: String,
    },
    /// A parameter's value is unreadable.
    #[error("{schedule} schedule: {parameter} must be {expected}, but is {found:?}")]
    Value {
        /// The kind of schedule.
        schedule: &'static str,
        /// The parameter's name.
        parameter: &'static str,
        /// The readable form.
        expected: &'static str,
        /// The text.
        found: String,
    },
    /// A number that the formula cannot take.
    #[error(transparent)]
    HyperParameter(#[from] HyperParameterError),
}

/// Reads a number, or a kind with its parameters:
///
/// | text | schedule |
/// |---|---|
/// | `0.1` | the same at every step |
/// | `exponential:initial=0.1,decay=0.96,every=100` | also with `staircase=true` |
/// | `inverse-time:initial=0.1,decay=0.5,every=100` | also with `staircase=true` |
/// | `polynomial:initial=0.1,end=0.001,steps=1000` | also with `power=2`; it is 1 if not given |
/// | `cosine:initial=0.1,steps=1000` | also with `alpha=0.01`; it is 0 if not given |
/// | `piecewise:values=0.1/0.01,boundaries=500` | one value more than boundaries |
/// | `warm-up:steps=100,then=cosine:initial=0.1,steps=1000` | `then` comes last |
///
/// # Examples
/// ```
/// use optim::Schedule;
///
/// let schedule: Schedule = "exponential:initial=0.1,decay=0.5,every=100".parse()?;
/// assert_eq!(schedule.at(100), 0.05);
/// assert_eq!(schedule.to_string().parse::<Schedule>()?, schedule);
///
/// let error = "exponential:initial=0.1,decay=2,every=100".parse::<Schedule>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "exponential schedule: decay must be in [0, 1], but 2 was given",
/// );
/// # Ok::<(), optim::ParseScheduleError>(())
/// ```
impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let text = text.trim();
        let schedule = match text.split_once(':') {
            None => Self::Constant(text.parse().map_err(|_| unknown_kind(text))?),
            Some((kind, parameters)) => parse_kind(kind.trim(), parameters)?,
        };
        schedule.validate()?;
        Ok(schedule)
    }
}

fn unknown_kind(kind: &str) -> ParseScheduleError {
    ParseScheduleError::Kind { kind: kind.to_owned() }
}

fn parse_kind(kind: &str, text: &str) -> Result<Schedule, ParseScheduleError> {
    match kind {
        "exponential" => {
            let p = Parameters::new("exponential", text, EXPONENTIAL)?;
            Ok(Schedule::Exponential {
                initial: p.get("initial", NUMBER)?,
                decay: p.get("decay", NUMBER)?,
                every: p.get("every", COUNT)?,
                staircase: p.get_or("staircase", TRUTH, false)?,
            })
        }
        "inverse-time" => {
            let p = Parameters::new("inverse-time", text, EXPONENTIAL)?;
            Ok(Schedule::InverseTime {
                initial: p.get("initial", NUMBER)?,
                decay: p.get("decay", NUMBER)?,
                every: p.get("every", COUNT)?,
                staircase: p.get_or("staircase", TRUTH, false)?,
            })
        }
        "polynomial" => {
            let p = Parameters::new("polynomial", text, &["initial", "end", "steps", "power"])?;
            Ok(Schedule::Polynomial {
                initial: p.get("initial", NUMBER)?,
                end: p.get("end", NUMBER)?,
                steps: p.get("steps", COUNT)?,
                power: p.get_or("power", NUMBER, 1.0)?,
            })
        }
        "cosine" => {
            let p = Parameters::new("cosine", text, &["initial", "steps", "alpha"])?;
            Ok(Schedule::Cosine {
                initial: p.get("initial", NUMBER)?,
                steps: p.get("steps", COUNT)?,
                alpha: p.get_or("alpha", NUMBER, 0.0)?,
            })
        }
        "piecewise" => {
            let p = Parameters::new("piecewise", text, &["values", "boundaries"])?;
            Ok(Schedule::Piecewise {
                boundaries: p.list("boundaries", COUNT)?,
                values: p.list("values", NUMBER)?,
            })
        }
        "warm-up" => {
            let schedule = "warm-up";
            let missing = ParseScheduleError::Missing { schedule, parameter: "then" };
            let (steps, then) = text.split_once("then=").ok_or(missing)?;
            if then.trim_start().starts_with(schedule) {
                let (expected, found) = ("a schedule without a warm-up", then.to_owned());
                return Err(ParseScheduleError::Value {
                    schedule,
                    parameter: "then",
                    expected,
                    found,
                });
            }
            let p = Parameters::new(schedule, steps.trim_end().trim_end_matches(','), &["steps"])?;
            Ok(Schedule::WarmUp { steps: p.get("steps", COUNT)?, then: Box::new(then.parse()?) })
        }
        _ => Err(unknown_kind(kind)),
    }
}

const EXPONENTIAL: &[&str] = &["initial", "decay", "every", "staircase"];
const NUMBER: &str = "a number";
const COUNT: &str = "a count of steps";
const TRUTH: &str = "true or false";

/// The `name=value` pairs of one schedule, each name known and there once.
struct Parameters<'t> {
    schedule: &'static str,
    pairs: Vec<(&'t str, &'t str)>,
}

impl<'t> Parameters<'t> {
    fn new(
        schedule: &'static str,
        text: &'t str,
        known: &[&str],
    ) -> Result<Self, ParseScheduleError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for found in text.split(',').map(str::trim) {
            let Some((name, value)) = found.split_once('=') else {
                return Err(ParseScheduleError::Pair { schedule, found: found.to_owned() });
            };
            if !known.contains(&name) || pairs.iter().any(|(other, _)| *other == name) {
                let (parameter, known) = (name.to_owned(), known.join(", "));
                return Err(ParseScheduleError::Unknown { schedule, parameter, known });
            }
            pairs.push((name, value));
        }
        Ok(Self { schedule, pairs })
    }

    fn find(&self, parameter: &'static str) -> Option<&'t str> {
        self.pairs.iter().find(|(name, _)| *name == parameter).map(|(_, value)| *value)
    }

    fn text(&self, parameter: &'static str) -> Result<&'t str, ParseScheduleError> {
        let missing = ParseScheduleError::Missing { schedule: self.schedule, parameter };
        self.find(parameter).ok_or(missing)
    }

    fn parse<V: FromStr>(
        &self,
        parameter: &'static str,
        expected: &'static str,
        found: &str,
    ) -> Result<V, ParseScheduleError> {
        let schedule = self.schedule;
        let wrong = |_| {
            let found = found.to_owned();
            ParseScheduleError::Value { schedule, parameter, expected, found }
        };
        found.parse().map_err(wrong)
    }

    fn get<V: FromStr>(
        &self,
        parameter: &'static str,
        expected: &'static str,
    ) -> Result<V, ParseScheduleError> {
        self.parse(parameter, expected, self.text(parameter)?)
    }

    fn get_or<V: FromStr>(
        &self,
        parameter: &'static str,
        expected: &'static str,
        default: V,
    ) -> Result<V, ParseScheduleError> {
        self.find(parameter).map_or(Ok(default), |found| self.parse(parameter, expected, found))
    }

    /// Values with slashes between them; nothing at all is an empty list.
    fn list<V: FromStr>(
        &self,
        parameter: &'static str,
        expected: &'static str,
    ) -> Result<Vec<V>, ParseScheduleError> {
        let values = self.text(parameter)?.split('/').filter(|value| !value.is_empty());
        values.map(|value| self.parse(parameter, expected, value)).collect()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate}"),
            Self::Exponential { initial, decay, every, staircase } => {
                write!(f, "exponential:initial={initial},decay={decay},every={every}")?;
                write!(f, ",staircase={staircase}")
            }
            Self::InverseTime { initial, decay, every, staircase } => {
                write!(f, "inverse-time:initial={initial},decay={decay},every={every}")?;
                write!(f, ",staircase={staircase}")
            }
            Self::Polynomial { initial, end, steps, power } => {
                write!(f, "polynomial:initial={initial},end={end},steps={steps},power={power}")
            }
            Self::Cosine { initial, steps, alpha } => {
                write!(f, "cosine:initial={initial},steps={steps},alpha={alpha}")
            }
            Self::Piecewise { boundaries, values } => {
                let (boundaries, values) = (joined(boundaries), joined(values));
                write!(f, "piecewise:values={values},boundaries={boundaries}")
            }
            Self::WarmUp { steps, then } => write!(f, "warm-up:steps={steps},then={then}"),
        }
    }
}

fn joined<V: fmt::Display>(values: &[V]) -> String {
    values.iter().map(V::to_string).collect::<Vec<_>>().join("/")
}
