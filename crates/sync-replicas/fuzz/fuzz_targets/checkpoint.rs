//! The fuzzer's way into the check of checkpoints; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/checkpoint.rs"]
mod checkpoint;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checkpoint::check(data));
