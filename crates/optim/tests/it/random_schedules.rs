//! Every schedule against its formula, computed another way: by loops where a power is whole, by
//! logarithms where it is not, by looking at every boundary.
//!
//! A loop of *n* products is off by *n ε/2*. An exponent *y = n ln d* is off by *2 ε |y|*, which
//! is then a relative error of the power. *1 + cos* cancels, so a wave is off by *4 ε* of its
//! height. The real ones round fewer than 8 times.
//! Rates below the smallest normal number have few digits; so much is always allowed.

use optim::Schedule;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::schedules::plain;

/// base^exponent, and a bound on the relative error of both ways to compute it.
fn power(base: f64, exponent: f64) -> (f64, f64) {
    if exponent == 0.0 {
        return (1.0, 0.0);
    }
    if exponent.fract() == 0.0 && exponent < 1e4 {
        return ((0..exponent as u32).fold(1.0, |product, _| product * base), exponent + 2.0);
    }
    let logarithm = exponent * base.ln();
    (logarithm.exp(), if base > 0.0 { 2.0 * logarithm.abs() + 4.0 } else { 0.0 })
}

/// The rate at step *k*, and how far a real one may be off, in units of ε.
fn slow(schedule: &Schedule, k: u64) -> (f64, f64) {
    let periods = |every: u64, staircase: bool| {
        let whole = (0..).take_while(|n| (n + 1) * every <= k).count() as f64;
        if staircase { whole } else { whole + (k % every) as f64 / every as f64 }
    };
    match schedule {
        Schedule::Constant(rate) => (*rate, 0.0),
        Schedule::Exponential { initial, decay, every, staircase } => {
            let periods = periods(*every, *staircase);
            let (factor, off) = power(*decay, periods);
            // The exponent itself is off by two roundings when it is no whole number.
            let log = if *decay > 0.0 { 2.0 * periods * decay.ln().abs() } else { 0.0 };
            (initial * factor, (off + log + 4.0) * initial * factor)
        }
        Schedule::InverseTime { initial, decay, every, staircase } => {
            let rate = initial / (decay * periods(*every, *staircase) + 1.0);
            (rate, 8.0 * rate)
        }
        Schedule::Polynomial { initial, end, steps, power: exponent } => {
            if k >= *steps {
                return (*end, 0.0);
            }
            let left = (steps - k) as f64 / *steps as f64;
            let (factor, off) = power(left, *exponent);
            let rate = initial * factor + end * (1.0 - factor);
            (rate, (off + 8.0) * (initial + end))
        }
        Schedule::Cosine { initial, steps, alpha } => {
            let part = k.min(*steps) as f64 / *steps as f64;
            let wave = 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
            (initial * (alpha + wave - alpha * wave), 12.0 * initial)
        }
        Schedule::Piecewise { boundaries, values } => {
            let passed = boundaries.iter().filter(|boundary| **boundary < k).count();
            (values[passed], 0.0)
        }
        Schedule::WarmUp { steps, then } => {
            let (rate, off) = slow(then, k);
            let part = if k < *steps { (k as f64 + 1.0) / *steps as f64 } else { 1.0 };
            (rate * part, off * part + 4.0 * rate)
        }
        other => panic!("a schedule without a slow reference: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn a_schedule_is_its_slow_reference(
        plain in plain(60), warm_up in prop::option::of(1..60_u64), steps in vec(0..200_u64, 8),
    ) {
        //
        let schedule = match warm_up {
            Some(steps) => Schedule::WarmUp { steps, then: Box::new(plain) },
            None => plain,
        };
        for k in (0..4).chain(steps) {
            let (expected, off) = slow(&schedule, k);
            let real = schedule.at(k);
            let error = (real - expected).abs();
            let allowed = off * f64::EPSILON + f64::MIN_POSITIVE;
            prop_assert!(error <= allowed, "{k}: {real} for {expected}, {error} > {allowed}");
        }
    }
}
