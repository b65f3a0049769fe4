//! The fuzzer's way into the check of indexed slices; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/slices.rs"]
mod slices;

libfuzzer_sys::fuzz_target!(|data: &[u8]| slices::check(data));
