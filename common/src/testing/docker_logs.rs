//! Logs of containers as Docker's json-file driver writes them, with lines as services print them.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::TempDir;
use crate::clock::Timestamp;

/// When the first line was written; then some every second.
const FIRST_SECOND: i64 = 1_790_000_000;
const LINES_PER_SECOND: usize = 4;

/// Log folders of containers.
pub struct Logs {
    folder: TempDir,
    containers: usize,
}

impl Logs {
    /// Containers that have printed nothing yet.
    pub fn empty(containers: usize) -> Self {
        let logs = Self { folder: TempDir::new(), containers };
        for number in 0..containers {
            let path = logs.path(number);
            let container = path.parent().expect("a folder");
            fs::create_dir(container).expect("a folder");
            let config = format!(r#"{{"Name":"/{}","Config":{{"Env":[]}}}}"#, container_name(number));
            fs::write(container.join("config.v2.json"), config).expect("written");
            File::create(path).expect("a log");
        }
        logs
    }

    /// Writes the lines of these numbers, one container after the other.
    pub fn write(&self, numbers: std::ops::Range<usize>) {
        let mut files: Vec<_> = (0..self.containers).map(|number| BufWriter::new(self.append(number))).collect();
        for number in numbers {
            let record = record(&line(number), &line_time(number));
            files[number % self.containers].write_all(record.as_bytes()).expect("written");
        }
        for file in &mut files {
            file.flush().expect("written");
        }
    }

    /// For `LOG_SOURCES`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log of a container, to write more into it.
    pub fn append(&self, number: usize) -> File {
        OpenOptions::new().append(true).open(self.path(number)).expect("a log")
    }

    fn path(&self, number: usize) -> PathBuf {
        let id = format!("{number:064x}");
        self.folder.path().join(&id).join(format!("{id}-json.log"))
    }
}

/// What a container is called.
pub fn container_name(number: usize) -> String {
    format!("shop_service_{number}")
}

/// When a line was printed, as Docker writes it.
pub fn line_time(number: usize) -> String {
    let millis = (number % LINES_PER_SECOND) * 1000 / LINES_PER_SECOND;
    let second = FIRST_SECOND + (number / LINES_PER_SECOND) as i64;
    Timestamp::from_millis(second * 1000 + millis as i64).with_millis().replace('Z', "012345Z")
}

/// A line of a log as the driver writes it.
pub fn record(line: &str, time: &str) -> String {
    let line = line.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{\"log\":\"{line}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n")
}

/// What services say, 100 to 200 bytes: 15 % hold the word `timeout`, one in 10,000 the word `quokka`.
pub fn line(number: usize) -> String {
    // Mixes the number, so that neighbours differ as real requests do.
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = mixed ^ (mixed >> 29);
    let (order, user, took, trace) = (mixed >> 44, (mixed >> 20) % 5000, mixed % 900, mixed);
    let mut line = match mixed % 4 {
        0 => format!(
            "INFO:     10.0.{}.{}:{} - \"GET /api/orders/{order}?user={user} HTTP/1.1\" 200 OK {took}ms",
            user % 256,
            took % 256,
            40_000 + took
        ),
        1 => format!(
            r#"{{"level":"info","msg":"order paid","order":{order},"user_id":{user},"took_ms":{took},"trace":"{trace:016x}"}}"#
        ),
        2 => format!(
            "2026-11-23 10:00:00 [WARNING] slow query on table orders for user {user}: {took} ms, order {order}"
        ),
        _ => format!("level=info component=worker msg=\"job done\" queue=mail order={order} user={user} took={took}ms"),
    };
    if number % 20 < 3 {
        line.push_str(" after a timeout of the payment gateway");
    }
    if number % 10_000 == 77 {
        line.push_str(" seen by quokka");
    }
    let _ = write!(line, " request_id={trace:016x}");
    while line.len() < 100 {
        line.push_str(" retry=0 region=eu");
    }
    assert!((100..=200).contains(&line.len()), "{} bytes: {line}", line.len());
    line
}
