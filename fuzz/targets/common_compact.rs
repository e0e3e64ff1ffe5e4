//! What is promised: `common::fuzzing::compact`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::fuzzing::compact(bytes));
