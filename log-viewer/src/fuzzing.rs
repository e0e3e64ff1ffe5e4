//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use common::clock::Timestamp;
use common::query::Query;
use rusqlite::Connection;

use crate::cursor::{Cursor, FileId};
use crate::docker_line;
use crate::entry::{Level, LogTime, NewEntry, Stream};
use crate::filter::Filter;
use crate::multiline::Assembler;
use crate::store::{self, Batch};

const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);
const MESSAGE_BYTES_MAX: usize = 4 << 10;

thread_local! {
    static DATABASE: Connection = database();
}

/// A file of the json-file driver: whatever is in it, nothing is made up.
pub fn records(bytes: &[u8]) {
    let mut assembler = Assembler::new(Stream::Stdout);
    let mut position = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(record) = docker_line::parse(line) {
            assembler.push(position, &record, LogTime::from(NOW));
        }
        let middle = line.len() / 2;
        docker_line::parse_cut(&line[..middle], &line[middle..]);
        position += line.len() as u64 + 1;
    }
    while assembler.close().is_some() {}
    assert_eq!(assembler.bytes(), 0);
}

/// A search is refused, or answered: SQLite's own errors about expressions stay inside.
pub fn search(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Ok(filter)) = Query::parse(text).map(|query| Filter::parse(&query)) else { return };
    DATABASE.with(|conn| store::page(conn, &filter, MESSAGE_BYTES_MAX).expect("an answer"));
}

fn database() -> Connection {
    let conn = common::testing::database::in_memory(store::MIGRATIONS);
    let entry = |message: &str| NewEntry {
        time: LogTime::from(NOW),
        stream: Stream::Stdout,
        level: Level::Info,
        message: message.to_owned(),
    };
    let entries = ["slow query: orders/4", "user_id=42 \"quoted\" text", "日本 é"].map(entry).to_vec();
    let file = FileId { inode: 1, first_record: None };
    let cursor = Cursor { container_id: "id".into(), path: String::new(), file, stdout: 7, stderr: 7 };
    store::append(&conn, &Batch { container: "web".into(), entries, cursor }, NOW).expect("stored");
    conn
}
