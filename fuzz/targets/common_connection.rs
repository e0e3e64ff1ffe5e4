//! What is promised: `common::fuzzing::connection`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::connection(bytes));
