//! The error-tracker binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    common::cli::main(&error_tracker::PROGRAM)
}
