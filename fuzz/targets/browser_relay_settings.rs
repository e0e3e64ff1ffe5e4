//! What is promised: `browser_relay::fuzzing::settings`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| browser_relay::fuzzing::settings(bytes));
