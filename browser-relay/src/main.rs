//! The browser-relay binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    match arguments.first().map(String::as_str) {
        Some("--upload-maps") => browser_relay::upload::main(&arguments),
        _ => common::cli::main(&browser_relay::PROGRAM),
    }
}
