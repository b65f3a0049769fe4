//! The fuzzer's way into the check of tables; the check itself is the test's own file.

#![no_main]

#[path = "../../tests/it/fuzz/table.rs"]
mod table;

libfuzzer_sys::fuzz_target!(|data: &[u8]| table::check(data));
