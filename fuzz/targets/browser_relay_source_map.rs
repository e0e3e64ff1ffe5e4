//! What is promised: `browser_relay::fuzzing::source_map`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| browser_relay::fuzzing::source_map(bytes));
