//! What is promised: `common::fuzzing::chunks`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::chunks(bytes));
