//! The fuzzer's way into the check of plans; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/plan.rs"]
mod plan;

libfuzzer_sys::fuzz_target!(|data: &[u8]| plan::check(data));
