//! How many steps training needs when A gradients make one.

use std::fmt;
use std::str::FromStr;

/// The number of steps as A changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Iterations {
    /// The same number of gradients altogether, so N / A for each step of all N: half as many
    /// gradients a step need twice as many steps.
    Inverse,
    /// Measured points, A and steps, by ascending A and joined by straight lines. Beyond the ends
    /// nothing is known.
    Points(Vec<(f64, f64)>),
}

/// Why a text does not name such a curve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `inverse`, or two or more of A=STEPS with commas between, A ascending and both \
     above 0, such as 50=137500,100=76200; got {0:?}"
)]
pub struct IterationsError(String);

impl Iterations {
    /// Steps to train with `aggregate` of `machines`; `None` if nothing is known of them.
    #[must_use]
    pub fn needed(&self, aggregate: usize, machines: usize) -> Option<f64> {
        let a = aggregate as f64;
        let Self::Points(points) = self else { return Some(machines as f64 / a) };
        let after = points.partition_point(|point| point.0 < a);
        let (a1, s1) = *points.get(after)?;
        match after.checked_sub(1) {
            Some(before) => {
                let (a0, s0) = points[before];
                Some(s0 + (s1 - s0) * (a - a0) / (a1 - a0))
            }
            None => (a1 == a).then_some(s1),
        }
    }
}

/// In its text form.
impl fmt::Display for Iterations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Points(points) = self else { return f.write_str("inverse") };
        if points.is_empty() {
            return f.write_str("no points");
        }
        let points = points.iter().map(|(aggregate, steps)| format!("{aggregate}={steps}"));
        f.write_str(&points.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Iterations {
    type Err = IterationsError;

    fn from_str(text: &str) -> Result<Self, IterationsError> {
        if text == "inverse" {
            return Ok(Self::Inverse);
        }
        let error = || IterationsError(text.to_owned());
        let point = |part: &str| {
            let (aggregate, steps) = part.split_once('=')?;
            let point: (f64, f64) = (aggregate.trim().parse().ok()?, steps.trim().parse().ok()?);
            (point.0 > 0.0 && point.1 > 0.0 && point.0.max(point.1) < 1e15).then_some(point)
        };
        let points: Option<Vec<_>> = text.split(',').map(point).collect();
        let points = points.ok_or_else(error)?;
        let ascends = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if points.len() < 2 || !ascends { Err(error()) } else { Ok(Self::Points(points)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_through_their_points_and_end_there() {
        #[track_caller]
        fn check(text: &str, aggregate: usize, expected: impl Into<Option<f64>>) {
            let iterations: Iterations = text.parse().expect("is a curve");
            assert_eq!(iterations.needed(aggregate, 100), expected.into(), "{text}");
            assert_eq!(iterations.to_string(), text);
        }
        check("inverse", 50, 2.0);
        check("50=137500,100=76200", 49, None);
        check("50=137500,100=76200", 50, 137_500.0);
        check("50=137500,100=76200", 75, 106_850.0);
        check("50=137500,100=76200", 100, 76_200.0);
        check("50=137500,100=76200", 101, None);
        check("1=100,2=50,3=40", 3, 40.0);
        check("1=100,2=50,3=40", 4, None);
        check("1.5=100,2.5=50", 1, None);
        check("1.5=100,2.5=50", 2, 75.0);
        // Made without being read.
        assert_eq!(Iterations::Points(vec![]).needed(1, 1), None);
        assert_eq!(Iterations::Points(vec![(2.0, 9.0)]).needed(2, 3), Some(9.0));
        assert_eq!(Iterations::Points(vec![(2.0, 9.0)]).needed(3, 3), None);
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        for text in ["", "linear", "1=2", "1=2,1=3", "2=1,1=2", "1=0,2=1", "a=1,2=3", "1=nan,2=1"] {
            let error = text.parse::<Iterations>().expect_err("is no curve").to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
