//! Lengths of time as a person reads them.
//!
//! Three digits that matter and a unit; what a program reads has plain seconds.

/// `730 µs`, `12.3 ms`, `4.56 s`, `3.20 min`, `5.10 h`.
#[must_use]
pub fn time(seconds: f64) -> String {
    // Each unit begins a little early, where the one before would be rounded up to it.
    let (number, unit) = match seconds {
        0.0 => return "0 s".to_owned(),
        it if it < 0.999_5e-3 => (1e6 * it, "µs"),
        it if it < 0.999_5 => (1e3 * it, "ms"),
        it if it < 119.5 => (it, "s"),
        it if it < 119.5 * 60.0 => (it / 60.0, "min"),
        it => (it / 3600.0, "h"),
    };
    let decimals = match number {
        it if it < 9.995 => 2,
        it if it < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: f64, expected: &str) {
        assert_eq!(time(seconds), expected);
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        check(0.0, "0 s");
        check(2e-7, "0.20 µs");
        check(73e-5, "730 µs");
        check(0.000_999_9, "1.00 ms");
        check(0.0123, "12.3 ms");
        check(0.999_9, "1.00 s");
        check(4.561, "4.56 s");
        check(9.999, "10.0 s");
        check(119.0, "119 s");
        check(119.9, "2.00 min");
        check(7200.0, "2.00 h");
        check(360_000.0, "100 h");
        check(f64::INFINITY, "inf h");
    }
}
