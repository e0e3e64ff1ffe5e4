//! What is promised: `log_viewer::fuzzing::container`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_viewer::fuzzing::container(bytes));
