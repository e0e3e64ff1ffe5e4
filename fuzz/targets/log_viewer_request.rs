//! What is promised: `log_viewer::fuzzing::request`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_viewer::fuzzing::request(bytes));
