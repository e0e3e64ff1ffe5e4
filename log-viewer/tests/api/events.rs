//! Reads a stream of server-sent events from a raw connection.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::testing::{Answer, Client, Connection, PATIENCE};
use serde_json::Value;

/// One event; a comment has no name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    /// The data as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of a log entry.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        crate::message(&self.json())
    }
}

/// An open stream.
pub(crate) struct Events {
    connection: Connection,
    pub(crate) head: Answer,
    buffer: Vec<u8>,
    ready: VecDeque<Event>,
}

impl Events {
    /// Opens a stream and reads its head. Refusals have their body.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, client: &Client, target: &str) -> Self {
        let mut connection = Connection::open(address).unwrap();
        connection.write(&client.request("GET", target, b"")).unwrap();
        let mut head = connection.read_head().unwrap();
        if !head.is_chunked() {
            let length = head.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            head.body = connection.read_bytes(length).unwrap();
        }
        Self { connection, head, buffer: Vec::new(), ready: VecDeque::new() }
    }

    /// The next event that is no comment; none when the stream has ended.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.next_within(PATIENCE).unwrap_or_else(|error| panic!("no event: {error}"))
    }

    /// The next event, if it comes in time.
    pub(crate) fn next_within(&mut self, patience: Duration) -> io::Result<Option<Event>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.connection.set_patience(left)?;
            let Some(chunk) = self.connection.read_chunk()? else { return Ok(None) };
            self.buffer.extend(chunk);
            self.take_events();
        }
    }

    /// The next so many log entries.
    #[track_caller]
    pub(crate) fn take_logs(&mut self, count: usize) -> Vec<Event> {
        let mut logs = Vec::new();
        while logs.len() < count {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended after {} entries", logs.len()));
            if event.name == "log" {
                logs.push(event);
            }
        }
        logs
    }

    /// Nothing but heartbeats for a moment.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        match self.next_within(Duration::from_millis(300)) {
            Ok(Some(event)) => assert_eq!(event.name, "heartbeat", "{event:?}"),
            Ok(None) => panic!("the stream has ended"),
            Err(error) => {
                assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let mut event = Event::default();
            for line in String::from_utf8(block).unwrap().lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => id.clone_into(&mut event.id),
                    Some(("event", name)) => name.clone_into(&mut event.name),
                    Some(("data", data)) => event.data += data,
                    _ => assert!(line.is_empty() || line.starts_with(':'), "{line:?}"),
                }
            }
            if event != Event::default() {
                self.ready.push_back(event);
            }
        }
    }
}
