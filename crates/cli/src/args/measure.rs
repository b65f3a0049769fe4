//! The options `--keep-best` and `--stop-when`: a metric, which way is better, what is enough.

use std::fmt;
use std::str::FromStr;

/// A measure of a model while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The part of the test rows that it predicts right, 0 to 1.
    TestAccuracy,
    /// The same of the moving averages.
    AveragesTestAccuracy,
    /// Of pairs of test rows with different targets, the part that it tells apart, 0 to 1.
    TestAuc,
    /// The mean of −log of the probability given to the right value.
    TestLogLoss,
    /// The root of the mean square of the errors.
    TestRmse,
    /// The mean loss of an update's gradients.
    Loss,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TestAccuracy,
        Self::AveragesTestAccuracy,
        Self::TestAuc,
        Self::TestLogLoss,
        Self::TestRmse,
        Self::Loss,
    ];

    /// Its name in the options and the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestAccuracy => "test_accuracy",
            Self::AveragesTestAccuracy => "averages_test_accuracy",
            Self::TestAuc => "test_auc",
            Self::TestLogLoss => "test_log_loss",
            Self::TestRmse => "test_rmse",
            Self::Loss => "loss",
        }
    }

    fn larger_is_better(self) -> bool {
        self.is_part()
    }

    /// Whether it is a part of a whole, 0 to 1.
    fn is_part(self) -> bool {
        matches!(self, Self::TestAccuracy | Self::AveragesTestAccuracy | Self::TestAuc)
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of the metrics {names}, got {text:?}")
        })
    }
}

/// A metric, and which of its values is better: `METRIC[:min|max]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What is measured.
    pub metric: Metric,
    /// Whether the larger value is better.
    pub larger: bool,
}

impl Measure {
    /// Whether a value is better than the one before; NaN never is.
    #[must_use]
    pub fn is_better(self, value: f64, before: Option<f64>) -> bool {
        let better = |before| if self.larger { value > before } else { value < before };
        value.is_finite() && before.is_none_or(better)
    }
}

impl From<Metric> for Measure {
    fn from(metric: Metric) -> Self {
        Self { metric, larger: metric.larger_is_better() }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((metric, way)) = text.split_once(':') else {
            return Ok(text.parse::<Metric>()?.into());
        };
        let larger = match way {
            "max" => true,
            "min" => false,
            _ => return Err(format!("expected :min or :max after the metric, got {way:?}")),
        };
        Ok(Self { metric: metric.parse()?, larger })
    }
}

/// The direction is written only if it is not the usual one.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name())?;
        match self.larger {
            larger if larger == self.metric.larger_is_better() => Ok(()),
            true => f.write_str(":max"),
            false => f.write_str(":min"),
        }
    }
}

/// When to end training before its last update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StopWhen {
    /// So many tests in a row were no better: `METRIC[:min|max][,tests=N]`.
    NoBetter {
        /// What is watched.
        measure: Measure,
        /// At least one.
        tests: u64,
    },
    /// A test reached this value from below: `METRIC>=VALUE`.
    AtLeast(Metric, f64),
    /// A test reached this value from above: `METRIC<=VALUE`.
    AtMost(Metric, f64),
}

impl StopWhen {
    /// What is watched.
    #[must_use]
    pub fn metric(self) -> Metric {
        match self {
            Self::NoBetter { measure, .. } => measure.metric,
            Self::AtLeast(metric, _) | Self::AtMost(metric, _) => metric,
        }
    }
}

/// Tests in a row that may bring nothing, without `tests=N`.
const USUAL_TESTS: u64 = 10;

impl FromStr for StopWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((metric, value)) = text.split_once(">=") {
            return limit(metric, value).map(|(metric, value)| Self::AtLeast(metric, value));
        }
        if let Some((metric, value)) = text.split_once("<=") {
            return limit(metric, value).map(|(metric, value)| Self::AtMost(metric, value));
        }
        let (measure, tests) = match text.split_once(',') {
            None => (text, USUAL_TESTS),
            Some((measure, tests)) => {
                let number = tests.trim_start().strip_prefix("tests=");
                let number = number.and_then(|number| number.parse().ok());
                let number = number.filter(|&number| number > 0).ok_or_else(|| {
                    format!("expected tests=N with N at least 1 after the comma, got {tests:?}")
                })?;
                (measure, number)
            }
        };
        Ok(Self::NoBetter { measure: measure.parse()?, tests })
    }
}

fn limit(metric: &str, value: &str) -> Result<(Metric, f64), String> {
    let (metric, text) = (metric.trim().parse::<Metric>()?, value.trim());
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
    let fits = |value: &f64| !metric.is_part() || (0.0..=1.0).contains(value);
    let expected = if metric.is_part() { "a part from 0 to 1" } else { "a number" };
    let value = value.filter(fits).ok_or_else(|| {
        format!("expected {expected} to compare {} with, got {text:?}", metric.name())
    })?;
    Ok((metric, value))
}

impl fmt::Display for StopWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBetter { measure, tests } => write!(f, "{measure},tests={tests}"),
            Self::AtLeast(metric, value) => write!(f, "{}>={value}", metric.name()),
            Self::AtMost(metric, value) => write!(f, "{}<={value}", metric.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_a_metric_and_a_way() {
        #[track_caller]
        fn check(text: &str, larger: bool, written: &str) {
            let measure: Measure = text.parse().expect("is one");
            assert_eq!((measure.larger, measure.to_string().as_str()), (larger, written), "{text}");
        }
        check("test_accuracy", true, "test_accuracy");
        check("averages_test_accuracy:max", true, "averages_test_accuracy");
        check("test_accuracy:min", false, "test_accuracy:min");
        check("loss", false, "loss");
        check("loss:min", false, "loss");
        check("loss:max", true, "loss:max");
    }

    #[test]
    fn an_end_is_a_patience_or_a_value() {
        #[track_caller]
        fn check(text: &str, written: &str) {
            let rule: StopWhen = text.parse().expect("is one");
            assert_eq!(rule.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(rule), "{text}");
        }
        check("loss", "loss,tests=10");
        check("test_accuracy:min,tests=3", "test_accuracy:min,tests=3");
        check("loss:max, tests=1", "loss:max,tests=1");
        check("test_accuracy>=0.97", "test_accuracy>=0.97");
        check("averages_test_accuracy >= 1", "averages_test_accuracy>=1");
        check("loss <= 1e-3", "loss<=0.001");
        check("loss<=-2", "loss<=-2");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = text.parse::<StopWhen>().expect_err("makes no sense");
            assert!(error.contains(expected), "{text}: {error}");
        }
        let names =
            "test_accuracy, averages_test_accuracy, test_auc, test_log_loss, test_rmse, loss";
        check("", names);
        check("accuracy", names);
        check("acc>=0.5", names);
        check("test_accuracy:min>=0.5", names);
        check("loss:up", ":min or :max");
        check("loss:", ":min or :max");
        check("loss,10", "tests=N");
        check("loss,tests=0", "at least 1");
        check("loss,tests=-1", "at least 1");
        check("test_accuracy>=97", "a part from 0 to 1");
        check("test_accuracy<=-0.1", "a part from 0 to 1");
        check("loss<=nan", "a number");
        check("loss>=", "a number");
    }

    #[test]
    fn better_is_what_the_way_says() {
        #[track_caller]
        fn check(measure: &str, value: f64, before: Option<f64>, expected: bool) {
            let measure: Measure = measure.parse().expect("is one");
            assert_eq!(measure.is_better(value, before), expected, "{measure} {value} {before:?}");
        }
        check("test_accuracy", 0.5, None, true);
        check("test_accuracy", 0.6, Some(0.5), true);
        check("test_accuracy", 0.5, Some(0.5), false);
        check("test_accuracy:min", 0.4, Some(0.5), true);
        check("loss", 0.4, Some(0.5), true);
        check("loss:max", 0.4, Some(0.5), false);
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check("loss", none, None, false);
            check("loss:max", none, Some(0.5), false);
        }
    }
}
