//! What is promised: `metrics_collector::fuzzing::request`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| metrics_collector::fuzzing::request(bytes));
