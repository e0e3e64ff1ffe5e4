//! Runs `sink.py`, a real SMTP server, for one test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use common::testing::wait_for;
use serde_json::Value;

/// The server; it ends with this value.
pub(crate) struct Sink {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
    pub(crate) port: u16,
    pub(crate) ca_file: PathBuf,
}

impl Sink {
    /// Starts it with these options and waits until it listens.
    #[track_caller]
    pub(crate) fn start(options: &[&str]) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let venv = std::env::var_os("MONLIGHT_VENV").map_or_else(|| package.join("../.venv"), PathBuf::from);
        let python = venv.join("bin/python");
        let mut command = Command::new(&python);
        command.arg(package.join("tests/smtp/sink.py")).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; `scripts/setup.sh test` installs what is missing", python.display())
        });
        let events = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok);
        let heard = Arc::clone(&events);
        thread::spawn(move || {
            for line in lines {
                let event = serde_json::from_str(&line).expect("one JSON object per line");
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        let mut sink = Self { child, events, port: 0, ca_file: PathBuf::new() };
        let ready = wait_for("the SMTP sink to listen", || sink.events("ready").pop());
        sink.port = u16::try_from(ready["port"].as_u64().expect("a port")).expect("a port");
        sink.ca_file = PathBuf::from(ready["ca"].as_str().expect("a path"));
        sink
    }

    /// What it received so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.events("message")
    }

    /// Waits until it has received so many messages.
    #[track_caller]
    pub(crate) fn wait_for_messages(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} messages"), || Some(self.messages()).filter(|messages| messages.len() >= count))
    }

    /// Waits until so many sessions are told of, and checks that there were no more: a client is gone before that.
    #[track_caller]
    pub(crate) fn wait_for_sessions(&self, count: usize) {
        wait_for(&format!("{count} sessions"), || (self.events("session").len() >= count).then_some(()));
        assert_eq!(self.events("session").len(), count, "sessions");
    }

    /// The events of one kind so far: `session`, `auth`, `message`.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event["event"] == kind).cloned().collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Closing its stdin is the polite way; it also removes its files then.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
