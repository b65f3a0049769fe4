//! Where and when this process runs.

use std::time::{SystemTime, UNIX_EPOCH};

/// The name of this machine, or nothing if the system does not tell.
pub(crate) fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var("HOSTNAME").ok());
    let told = told.or_else(|| std::env::var("COMPUTERNAME").ok());
    told.unwrap_or_default().trim().to_owned()
}

/// `20260131-235959`, in universal time, for names of files.
pub(crate) fn utc(time: SystemTime) -> String {
    let (date, clock) = parts(time);
    format!("{}-{}", date.join(""), clock.join(""))
}

/// `2026-01-31T23:59:59Z`, as in RFC 3339.
pub(crate) fn rfc_3339(time: SystemTime) -> String {
    let (date, clock) = parts(time);
    format!("{}T{}Z", date.join("-"), clock.join(":"))
}

/// Year, month, day; hour, minute, second.
fn parts(time: SystemTime) -> ([String; 3], [String; 3]) {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let two = |number: u64| format!("{number:02}");
    let clock = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    ([format!("{year:04}"), two(month), two(day)], clock.map(two))
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar, counted in
/// years that begin in March so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_universal() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(rfc_3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_399, "2000-02-28T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(4_107_542_399, "2100-02-28T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn names_of_files_have_no_colons() {
        assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(951_782_399)), "20000228-235959");
    }
}
