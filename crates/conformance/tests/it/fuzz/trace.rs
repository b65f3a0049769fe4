//! Any bytes as a trace: replayed to its end or refused with a reason, without a panic.

use conformance::replay;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(failure) = replay(text) {
        assert!(!failure.difference.is_empty(), "{failure:?}");
    }
}
