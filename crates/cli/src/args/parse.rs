//! Parsers of numbers and durations, for options of more than one command.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Arg;
use sync_replicas::options::StepTimeout;

/// Reads a whole number in a range; a negative one gets the same error as any other.
pub(super) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            match *most {
                u64::MAX => format!("expected a whole number of at least {least}"),
                _ => format!("expected a whole number from {least} to {most}"),
            }
        })
    }
}

/// Reads a count.
pub(super) fn at_least_one() -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync {
    whole(1..=u64::MAX)
}

/// Lets an option take a value that begins with a minus and a digit, so that its own check can say
/// what is wrong with it.
pub(super) fn with_negative_numbers(option: Arg) -> Arg {
    let name = option.get_value_names().and_then(<[_]>::first).map(|name| name.to_string());
    match name.as_deref() {
        // `-5s` and `-1=20` are no numbers.
        Some("DURATION" | "REPLICA=MILLISECONDS") => option.allow_hyphen_values(true),
        _ if option.get_action().takes_values() => option.allow_negative_numbers(true),
        _ => option,
    }
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

pub(super) fn parse_step_timeout(text: &str) -> Result<StepTimeout, String> {
    match text {
        "automatic" => Ok(StepTimeout::Automatic),
        "none" => Ok(StepTimeout::Never),
        _ => parse_duration(text)
            .map(StepTimeout::After)
            .map_err(|wrong| format!("{wrong}; or automatic, or none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_of_their_range() {
        #[track_caller]
        fn check(text: &str, range: RangeInclusive<u64>, expected: Result<u16, &str>) {
            assert_eq!(whole::<u16>(range)(text), expected.map_err(str::to_owned), "{text}");
        }
        let least = Err("expected a whole number of at least 1");
        check("7", 1..=u64::MAX, Ok(7));
        for wrong in ["0", "-7", "7.5", "", "70000", "18446744073709551616"] {
            check(wrong, 1..=u64::MAX, least);
        }
        check("256", 1..=256, Ok(256));
        check("-0", 1..=256, Err("expected a whole number from 1 to 256"));
        check("257", 1..=256, Err("expected a whole number from 1 to 256"));
    }

    #[test]
    fn step_timeouts_are_durations_or_words() {
        #[track_caller]
        fn check(text: &str, expected: Option<StepTimeout>) {
            assert_eq!(parse_step_timeout(text).ok(), expected, "{text}");
        }
        check("automatic", Some(StepTimeout::Automatic));
        check("none", Some(StepTimeout::Never));
        check("2m", Some(StepTimeout::After(Duration::from_secs(120))));
        check("never", None);
        let wrong = parse_step_timeout("5h").expect_err("no such unit");
        assert!(wrong.contains("automatic, or none"), "{wrong}");
    }

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
