//! The log-viewer binary; everything is in the library.

fn main() -> std::process::ExitCode {
    common::cli::main(&log_viewer::PROGRAM)
}
