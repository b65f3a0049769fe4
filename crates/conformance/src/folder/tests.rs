//! What a report makes of panics; everything else is tested from outside.

use super::*;

#[test]
fn a_panic_is_a_failure_of_its_trace() {
    #[track_caller]
    fn check(work: fn() -> Result<(), Failure>, expected: &str) {
        let failure = guarded(work).expect_err("it panics");
        assert_eq!(
            (failure.place.clone(), failure.to_string()),
            (Place::Panic, expected.to_owned())
        );
    }
    check(|| panic!("plain"), "a panic: plain");
    check(|| panic!("with {}", 7), "a panic: with 7");
    check(|| std::panic::panic_any(7), "a panic: no message");
    assert_eq!(guarded(|| Ok(())), Ok(()));
}
