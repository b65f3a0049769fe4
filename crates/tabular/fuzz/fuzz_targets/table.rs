//! The fuzzer's way into the check of data files; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/digits.rs"]
mod digits;

libfuzzer_sys::fuzz_target!(|data: &[u8]| digits::check(data));
