//! What is promised: `metrics_collector::fuzzing::batch`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| metrics_collector::fuzzing::batch(bytes));
