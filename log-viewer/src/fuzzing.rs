//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use common::fuzzing::{Handlers, NOW, Setup};
use common::query::Query;
use common::service::Core;
use common::testing::TempDir;
use rusqlite::Connection;

use crate::context::Shared;
use crate::cursor::{Cursor, FileId};
use crate::docker_line;
use crate::entry::{Level, LogTime, NewEntry, Stream};
use crate::filter::Filter;
use crate::live::Live;
use crate::multiline::Assembler;
use crate::pattern::Patterns;
use crate::routes::ROUTES;
use crate::store::{self, Batch};
use crate::tailer::containers::Discovery;

const MESSAGE_BYTES_MAX: usize = 4 << 10;

thread_local! {
    static DATABASE: Connection = database();
    static FOLDER: TempDir = TempDir::new();
    static HANDLERS: RefCell<Handlers<Shared>> = const { RefCell::new(Handlers::new(SETUP)) };
}

const SETUP: Setup<Shared> =
    Setup { routes: ROUTES, migrations: store::MIGRATIONS, prepare_reader: |_| Ok(()), shared, notes: &[] };

fn shared(core: &Core) -> Shared {
    core.writer.call(|tx| store::append(tx, &batch(), NOW)).expect("stored");
    Shared { live: Arc::new(Live::new(0)), status: Arc::default() }
}

/// A request is refused with a reason, or answered.
pub fn request(bytes: &[u8]) {
    HANDLERS.with_borrow_mut(|handlers| handlers.answer(bytes));
}

/// Which containers are watched, and what Docker says of one in its two files: each a line.
pub fn container(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let pattern = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    FOLDER.with(|folder| {
        let inside = folder.path().join("id");
        fs::create_dir_all(&inside).expect("a folder");
        for name in ["hostconfig.json", "config.v2.json"] {
            fs::write(inside.join(name), lines.next().unwrap_or_default()).expect("written");
        }
        let patterns = Patterns::new(vec![pattern.clone()]);
        let found = Discovery::new(folder.path().to_owned(), patterns).scan().expect("the folder can be read");
        for container in found {
            assert!(pattern.contains('*') || container.name == pattern, "{} by {pattern}", container.name);
            assert_eq!(container.log_path(), inside.join("id-json.log"));
        }
    });
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
    store::append(&conn, &batch(), NOW).expect("stored");
    conn
}

fn batch() -> Batch {
    let entry = |message: &str| NewEntry {
        time: LogTime::from(NOW),
        stream: Stream::Stdout,
        level: Level::Info,
        message: message.to_owned(),
    };
    let entries = ["slow query: orders/4", "user_id=42 \"quoted\" text", "日本 é"].map(entry).to_vec();
    let file = FileId { inode: 1, first_record: None };
    let cursor = Cursor { container_id: "id".into(), path: String::new(), file, stdout: 7, stderr: 7 };
    Batch { container: "web".into(), entries, cursor }
}
