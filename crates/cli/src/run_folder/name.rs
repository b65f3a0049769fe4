//! The name of a run folder that nobody named: the model and the time.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `runs/MODEL-TIME`, with a number where that is taken.
pub(super) fn fresh(model: &str) -> PathBuf {
    unused(&Path::new("runs").join(format!("{model}-{}", utc(SystemTime::now()))))
}

/// Two runs that start in the same second get folders of their own.
fn unused(path: &Path) -> PathBuf {
    let numbered = |n: u32| {
        path.with_file_name(format!(
            "{}-{n}",
            path.file_name().unwrap_or_default().to_string_lossy()
        ))
    };
    let mut candidates = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    candidates.find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

/// `20260131-235959`, in universal time.
pub(super) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
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
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_universal() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        check(0, "19700101-000000");
        check(951_782_399, "20000228-235959");
        check(951_782_400, "20000229-000000");
        check(951_868_800, "20000301-000000");
        check(1_735_689_599, "20241231-235959");
        check(4_107_542_399, "21000228-235959");
        check(4_107_542_400, "21000301-000000");
    }

    #[test]
    fn names_taken_get_a_number() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let wanted = dir.path().join("mlp-1");
        assert_eq!(unused(&wanted), wanted);
        fs::create_dir(&wanted).expect("is new");
        assert_eq!(unused(&wanted), dir.path().join("mlp-1-2"));
    }
}
