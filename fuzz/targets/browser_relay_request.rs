//! What is promised: `browser_relay::fuzzing::request`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| browser_relay::fuzzing::request(bytes));
