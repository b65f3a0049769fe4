//! Whether a metric ends a training before its last update.
//!
//! Plain data; it is told of each test. It begins anew with each process.

use crate::args::StopWhen;

/// The beginning of every reason, by which each process of a cluster knows it.
const REASON: &str = "--stop-when ";

/// The rule, and what it has seen.
#[derive(Clone, Debug)]
pub(crate) struct EarlyStop {
    rule: StopWhen,
    /// The best test, and its update.
    best: Option<(f64, i64)>,
    /// Tests since then.
    in_vain: u64,
}

impl EarlyStop {
    pub(crate) fn new(rule: StopWhen) -> Self {
        Self { rule, best: None, in_vain: 0 }
    }

    pub(crate) fn rule(&self) -> StopWhen {
        self.rule
    }

    /// Takes a test of an update; returns why training should end, if it should.
    pub(crate) fn tested(&mut self, step: i64, value: f64) -> Option<String> {
        let rule = self.rule;
        let reached = match rule {
            StopWhen::AtLeast(_, least) => value >= least,
            StopWhen::AtMost(_, most) => value <= most,
            StopWhen::NoBetter { measure, tests } => {
                if measure.is_better(value, self.best.map(|(best, _)| best)) {
                    (self.best, self.in_vain) = (Some((value, step)), 0);
                } else {
                    self.in_vain += 1;
                }
                self.in_vain >= tests
            }
        };
        reached.then(|| match (rule, self.best) {
            (StopWhen::NoBetter { .. }, Some((best, at))) => {
                format!("{REASON}{rule}: the best was {best:.4} at update {at}, none since then")
            }
            _ => format!("{REASON}{rule}: it was {value:.4} at update {step}"),
        })
    }
}

/// Why training ended, if it was for such a reason: then it was not interrupted.
pub(crate) fn reason(stopped: &str) -> Option<String> {
    stopped.starts_with(REASON).then(|| stopped.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests of the updates 10, 20 and so on; the end comes with the last one, or not at all.
    #[track_caller]
    fn check(rule: &str, tests: &[f64], words: Option<&str>) {
        let mut stop = EarlyStop::new(rule.parse().expect("is one"));
        for (place, value) in tests.iter().enumerate() {
            let ended = stop.tested(10 * (place as i64 + 1), *value);
            let expected = words.filter(|_| place + 1 == tests.len());
            let expected = expected.map(|words| format!("--stop-when {rule}: {words}"));
            assert_eq!(ended, expected, "{rule} {tests:?} at {place}");
            assert_eq!(ended.as_deref().and_then(reason), ended);
        }
    }

    #[test]
    fn it_ends_when_nothing_becomes_better() {
        let accuracy = "test_accuracy,tests=2";
        let since = |best| Some(format!("the best was {best}, none since then"));
        check(accuracy, &[0.5, 0.4, 0.6, 0.5], None);
        check(accuracy, &[0.5, 0.6, 0.5, 0.6], since("0.6000 at update 20").as_deref());
        check("loss,tests=1", &[0.5, 0.4, 0.4], since("0.4000 at update 20").as_deref());
        check("loss:max,tests=1", &[0.5, 0.4], since("0.5000 at update 10").as_deref());
        check("loss,tests=2", &[f64::NAN, f64::NAN], Some("it was NaN at update 20"));
        check("test_accuracy,tests=10", &[0.5; 10], None);
        check("test_accuracy,tests=10", &[0.5; 11], since("0.5000 at update 10").as_deref());
    }

    #[test]
    fn it_ends_when_a_value_is_reached() {
        check("test_accuracy>=0.9", &[0.5, 0.89, f64::NAN], None);
        check("test_accuracy>=0.9", &[0.5, 0.9], Some("it was 0.9000 at update 20"));
        check("loss<=0.1", &[0.5, 0.2, 0.1], Some("it was 0.1000 at update 30"));
        check("loss>=2", &[0.5, 3.0], Some("it was 3.0000 at update 20"));
    }
}
