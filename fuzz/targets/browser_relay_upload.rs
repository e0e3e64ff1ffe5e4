//! What is promised: `browser_relay::fuzzing::upload`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| browser_relay::fuzzing::upload(bytes));
