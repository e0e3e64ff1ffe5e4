//! What the store's tests share.

use common::clock::Timestamp;
use common::query::Query;
use rusqlite::Connection;

use super::{Batch, Limits, append, trim};
use crate::cursor::{Cursor, FileId};
use crate::entry::{Level, LogTime, NewEntry, Stream};
use crate::filter::Filter;

/// When tests take place.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);

/// An empty database in memory with our schema.
pub(crate) fn database() -> Connection {
    common::testing::database::in_memory(super::MIGRATIONS)
}

pub(crate) fn filter(query: &str) -> Filter {
    Filter::parse(&Query::parse(query).expect("well-formed")).expect(query)
}

/// An entry so many seconds after [`NOW`].
pub(crate) fn entry(seconds: i64, level: Level, message: &str) -> NewEntry {
    let time = LogTime::from_nanos(LogTime::from(NOW).nanos() + seconds * 1_000_000_000);
    NewEntry { time, stream: Stream::Stdout, level, message: message.to_owned() }
}

pub(crate) fn batch(container: &str, entries: Vec<NewEntry>) -> Batch {
    let file = FileId { inode: 1, first_record: None };
    let cursor = Cursor { container_id: format!("id-{container}"), path: String::new(), file, stdout: 7, stderr: 7 };
    Batch { container: container.to_owned(), entries, cursor }
}

/// Stores messages, a second apart.
pub(crate) fn store(tx: &Connection, container: &str, messages: &[&str]) {
    let entries = messages.iter().zip(0..).map(|(message, second)| entry(second, Level::Info, message)).collect();
    append(tx, &batch(container, entries), NOW).expect("stored");
}

pub(crate) fn limits(entries_max: u64, entries_per_container_min: u64) -> Limits {
    Limits { entries_max, entries_per_container_min, bytes_max: None, age_max: None }
}

/// Trims until there is nothing left to do.
pub(crate) fn trim_all(tx: &Connection, limits: &Limits, slice: usize) {
    while trim(tx, limits, NOW, slice).expect("trimmed").has_more {}
}

/// The ids that a list, a search or a scan gives, and its total.
pub(crate) fn page(conn: &Connection, query: &str) -> (Vec<i64>, i64) {
    let page = super::page(conn, &filter(query), 1 << 20).expect(query);
    (page.entries.iter().map(|listed| listed.entry.id).collect(), page.total)
}
