//! Ids of traces and of steps' spans: functions of run and step, so that a program that knows both
//! can add its own spans.
//!
//! The formula is public, in docs/observability.md. It is a hash, since collectors choose traces by
//! their ids, which must look as if they were drawn.

use sha2::{Digest, Sha256};
use sync_replicas::checkpoint::RunId;

/// Ids of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepIds {
    /// Of its trace.
    pub(super) trace: [u8; 16],
    /// Of the span that stands for the step, the parent of all others.
    pub(super) span: [u8; 8],
}

impl StepIds {
    pub(super) fn new(run: RunId, step: i64) -> Self {
        let hash = Sha256::digest(format!("{run}/{step}"));
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&hash[..16]);
        span.copy_from_slice(&hash[16..24]);
        Self { trace, span }
    }
}

/// Ids of spans that need not be known beforehand.
#[derive(Debug)]
pub(super) struct SpanIds(u64);

impl SpanIds {
    /// From its own place, since a repeated step is in the same trace.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 8];
        if getrandom::fill(&mut bytes).is_err() {
            return Self(u64::from(std::process::id()) << 32);
        }
        Self(u64::from_le_bytes(bytes))
    }

    pub(super) fn next(&mut self) -> [u8; 8] {
        // Zero is no id.
        self.0 = self.0.wrapping_add(1).max(1);
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As the formula of docs/observability.md, in Python, gives them.
    #[test]
    fn ids_are_the_documented_function_of_run_and_step() {
        #[track_caller]
        fn check(run: &str, step: i64, traceparent: &str) {
            let ids = StepIds::new(run.parse().expect("is one"), step);
            let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
            assert_eq!(format!("00-{}-{}-01", hex(&ids.trace), hex(&ids.span)), traceparent);
        }
        let run = "000102030405060708090a0b0c0d0e0f";
        check(run, 0, "00-9c326b21b11cf35a6a2163fae1032d86-c1484ff8d05a92d1-01");
        check(run, 41, "00-467a5bcba6d1d0a359ed1e87e1b3e569-a79fa77ad1f20c8d-01");
    }

    #[test]
    fn no_id_is_zero() {
        let mut ids = SpanIds(u64::MAX);
        assert_eq!([ids.next(), ids.next()], [1_u64.to_be_bytes(), 2_u64.to_be_bytes()]);
    }
}
