//! The fuzzer's way into the check of messages; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::check(data));
