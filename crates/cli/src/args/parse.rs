//! Parsers of numbers and durations, for options of more than one command.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;

pub(super) fn at_least_one() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

/// A number with `ms`, `s` or `m`; without a unit, seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        other => return Err(format!("expected a number with ms, s or m, got the unit {other:?}")),
    };
    let duration = number.trim().parse::<f64>().ok().map(|number| number * unit);
    duration
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("expected a length of time such as 500ms, 30s or 2m, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis() as u64), expected, "{text}");
        }
        check("500ms", Some(500));
        check("30s", Some(30_000));
        check("1.5", Some(1_500));
        check("2m", Some(120_000));
        for wrong in ["", "s", "-1s", "0", "nan", "inf", "1e300m", "5h", "5 parsecs"] {
            check(wrong, None);
        }
    }
}
