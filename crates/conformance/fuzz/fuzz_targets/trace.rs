//! The fuzzer's way into the check of traces; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/trace.rs"]
mod trace;

libfuzzer_sys::fuzz_target!(|data: &[u8]| trace::check(data));
