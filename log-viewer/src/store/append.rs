//! Entries as they come in. Everything here runs inside the writer's transaction and may run twice.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use rusqlite::{Connection, params};

use super::{chapters, counts, cursors};
use crate::ansi::without_colours;
use crate::cursor::Cursor;
use crate::entry::NewEntry;

/// What was read of one container, and how far that is.
pub(crate) struct Batch {
    /// The container's name.
    pub(crate) container: String,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) cursor: Cursor,
}

/// Stores entries together with the cursor that covers them. The id of the first; the others' follow without a gap.
pub(crate) fn append(tx: &Connection, batch: &Batch, now: Timestamp) -> rusqlite::Result<i64> {
    cursors::put(tx, &batch.cursor, now)?;
    let first_id = next_id(tx)?;
    if batch.entries.is_empty() {
        return Ok(first_id);
    }
    let container = container_id(tx, &batch.container)?;
    let mut added = BTreeMap::new();
    {
        let mut entries = tx.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut messages = tx.prepare_cached("INSERT INTO messages VALUES (?1, ?2)")?;
        let mut words = tx.prepare_cached(&chapters::insert_sql(chapters::open_one(tx)?))?;
        for (entry, id) in batch.entries.iter().zip(first_id..) {
            let (level, time) = (entry.level as i64, entry.time.nanos());
            entries.execute(params![id, container, level, entry.stream as i64, time])?;
            messages.execute(params![id, entry.message])?;
            words.execute(params![id, without_colours(&entry.message)])?;
            *added.entry(counts::Key::new(container, level, time)).or_default() += 1;
        }
    }
    counts::add(tx, &added)?;
    tx.prepare_cached("UPDATE ring SET next_id = ?1")?.execute([first_id + batch.entries.len() as i64])?;
    Ok(first_id)
}

/// The id of the entry that came last, whether or not it is still there.
pub(crate) fn max_id(conn: &Connection) -> rusqlite::Result<i64> {
    next_id(conn).map(|id| id - 1)
}

/// The oldest entry's id and that of the newest; the first is greater when there is none.
pub(crate) fn id_span(conn: &Connection) -> rusqlite::Result<(i64, i64)> {
    let oldest: Option<i64> = conn.prepare_cached("SELECT min(id) FROM entries")?.query_row([], |row| row.get(0))?;
    let newest = max_id(conn)?;
    Ok((oldest.unwrap_or(newest + 1), newest))
}

fn next_id(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT next_id FROM ring")?.query_row([], |row| row.get(0))
}

fn container_id(tx: &Connection, name: &str) -> rusqlite::Result<i64> {
    tx.prepare_cached("INSERT INTO containers (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([name])?;
    tx.prepare_cached("SELECT id FROM containers WHERE name = ?1")?.query_row([name], |row| row.get(0))
}
