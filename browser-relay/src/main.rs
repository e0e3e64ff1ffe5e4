//! The browser-relay binary; everything is in the library.

fn main() -> std::process::ExitCode {
    common::cli::main(&browser_relay::PROGRAM)
}
