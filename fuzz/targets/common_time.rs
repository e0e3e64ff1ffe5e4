//! What is promised: `common::fuzzing::time`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::time(bytes));
