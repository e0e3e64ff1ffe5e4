//! The command line of every service: it runs, or does one of a few small things and exits.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::env::{Env, Problems};
use crate::settings::{self, Defaults};
use crate::ui::Interface;
use crate::{db, process};

/// A health check that takes longer has failed.
const HEALTHCHECK_TIME_MAX: Duration = Duration::from_secs(5);

/// What the command line must know of a service.
pub struct Program {
    /// Its name, also of its binary.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One sentence, then the environment variables that only it has, for `--help`.
    pub help: &'static str,
    /// Defaults of the common settings.
    pub defaults: Defaults,
    /// Its web interface, where it has one.
    pub interface: Option<&'static Interface>,
    /// Runs the service until it is told to stop.
    pub run: fn(Env) -> Result<(), Failure>,
}

/// Why a service did not start or did not go on.
#[derive(Debug)]
pub enum Failure {
    /// The environment is not right: exit code 2.
    Configuration(Problems),
    /// Anything else, in words: exit code 1.
    Other(String),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<db::OpenError> for Failure {
    fn from(error: db::OpenError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Other(format!("database: {error}"))
    }
}

enum Command {
    Run,
    Help,
    Version,
    Healthcheck,
    Backup(PathBuf),
}

/// The whole of a service's `main`.
pub fn main(program: &Program) -> ExitCode {
    process::prepare();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = match parse(&args) {
        Ok(Command::Run) => (program.run)(Env::process()),
        Ok(Command::Help) => {
            print(&format!("{}\n\n{}\n{}", usage(program), program.help, settings::help(&program.defaults)));
            Ok(())
        }
        Ok(Command::Version) => {
            print(&format!("{} {}", program.name, program.version));
            Ok(())
        }
        Ok(Command::Healthcheck) => healthcheck(Env::process()),
        Ok(Command::Backup(target)) => backup(program, Env::process(), &target),
        Err(message) => {
            say(&format!("{message}\n{}", usage(program)));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration(problems)) => {
            say(&format!("{}: the configuration has problems:\n{problems}", program.name));
            ExitCode::from(2)
        }
        Err(Failure::Other(message)) => {
            say(&format!("{}: {message}", program.name));
            ExitCode::FAILURE
        }
    }
}

fn usage(program: &Program) -> String {
    format!("Usage: {} [--help | --version | --healthcheck | --backup FILE]", program.name)
}

/// A file's name may be any bytes; what is no text is no flag.
fn parse(args: &[OsString]) -> Result<Command, String> {
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or("")).collect();
    match words[..] {
        [] => Ok(Command::Run),
        ["--help" | "-h"] => Ok(Command::Help),
        ["--version" | "-V"] => Ok(Command::Version),
        ["--healthcheck"] => Ok(Command::Healthcheck),
        ["--backup", _] if !args[1].is_empty() => Ok(Command::Backup(PathBuf::from(&args[1]))),
        ["--backup", ..] => Err("--backup: expected one file name".into()),
        [flag @ ("--help" | "--version" | "--healthcheck"), ..] => Err(format!("{flag}: expected to stand alone")),
        [..] => Err(format!("unknown argument {:?}", args[0].to_string_lossy())),
    }
}

/// Asks the running service on this machine for its health; succeeds on status 200.
fn healthcheck(mut env: Env) -> Result<(), Failure> {
    let mut address = settings::address(&mut env);
    env.finish()?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let answer = ask_health(address).map_err(|error| Failure::Other(format!("{address}: {error}")))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(Failure::Other(format!("{address}: {}", answer.trim_end()))),
    }
}

/// The status line of `GET /health`.
fn ask_health(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, HEALTHCHECK_TIME_MAX)?;
    socket.set_read_timeout(Some(HEALTHCHECK_TIME_MAX))?;
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(1024).read_to_end(&mut answer)?;
    let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn backup(program: &Program, mut env: Env, target: &Path) -> Result<(), Failure> {
    let source = settings::database_path(&mut env, &program.defaults);
    env.finish()?;
    db::backup(&source, target)?;
    print(&format!("{} backed up to {}", source.display(), target.display()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "results of the command line go to standard output")]
fn print(text: &str) {
    println!("{text}");
}

fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags() {
        assert!(matches!(parsed(&[]), Ok(Command::Run)));
        assert!(matches!(parsed(&["--help"]), Ok(Command::Help)));
        assert!(matches!(parsed(&["--version"]), Ok(Command::Version)));
        assert!(matches!(parsed(&["--healthcheck"]), Ok(Command::Healthcheck)));
        assert!(matches!(parsed(&["--backup", "x"]), Ok(Command::Backup(_))));
    }

    #[test]
    fn an_unknown_flag_is_an_error() {
        for args in [&["--backup"][..], &["--backup", "a", "b"], &["--helpp"], &["run"], &["--version", "x"]] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }
}
