//! What is promised: `error_tracker::fuzzing::request`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| error_tracker::fuzzing::request(bytes));
