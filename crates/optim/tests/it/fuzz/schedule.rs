//! Any bytes as the text of a schedule: refused with a reason, or finite and read back.

use optim::Schedule;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Schedule>() {
        Ok(schedule) => {
            for step in [0, 1, 2, 1000, u64::MAX - 1, u64::MAX] {
                let rate = schedule.at(step);
                assert!(rate.is_finite() && rate >= 0.0, "{schedule} is {rate} at {step}");
            }
            let again = schedule.to_string().parse::<Schedule>();
            assert_eq!(again, Ok(schedule), "what was written reads back");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
