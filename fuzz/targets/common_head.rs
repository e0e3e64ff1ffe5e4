//! What is promised: `common::fuzzing::head`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::head(bytes));
