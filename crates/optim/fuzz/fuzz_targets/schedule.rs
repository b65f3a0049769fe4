//! The fuzzer's way into the check of schedules as text; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/schedule.rs"]
mod schedule;

libfuzzer_sys::fuzz_target!(|data: &[u8]| schedule::check(data));
