//! The metrics-collector binary; everything is in the library.

fn main() -> std::process::ExitCode {
    common::cli::main(&metrics_collector::PROGRAM)
}
