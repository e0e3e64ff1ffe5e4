//! The index of words, in chapters of consecutive ids. Entries are added to the newest one only. Nothing is deleted from
//! inside a chapter: it goes as a whole when the ring has passed it, and what the ring has spared of it moves to an
//! index of its own. Why: docs/decisions/0006-search-chapters.md.

use rusqlite::{Connection, params};

use super::rows::text;
use crate::ansi::without_colours;

/// Tables for chapters, as the schema has them.
const SLOTS: i64 = 12;
/// Into how many chapters the ring is cut: with the one that is filled and the one that is trimmed some fewer than slots.
const CHAPTERS_PER_RING: u64 = 8;
/// A smaller chapter is not worth a table.
const CHAPTER_ENTRIES_MIN: u64 = 1000;
const SPARED: &str = "search_spared";

/// A stretch of ids, and the table that knows their words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) table: String,
    pub(super) low: i64,
    /// Inclusive.
    pub(super) high: i64,
    /// Whether everything in the table is also there. Otherwise it must be looked up.
    pub(super) is_complete: bool,
}

/// All ids with their tables, the newest first.
pub(super) fn ranges(conn: &Connection) -> rusqlite::Result<Vec<Range>> {
    let trimmed_to = trimmed_to(conn)?;
    let mut statement = conn.prepare_cached("SELECT slot, first_id FROM chapters ORDER BY first_id DESC")?;
    let chapters = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let (mut ranges, mut high) = (Vec::new(), i64::MAX);
    for chapter in chapters {
        let (slot, first_id) = chapter?;
        let table = table(slot);
        if high > trimmed_to {
            let low = first_id.max(trimmed_to + 1);
            ranges.push(Range { table: table.clone(), low, high, is_complete: true });
        }
        if first_id <= trimmed_to {
            ranges.push(Range { table, low: first_id, high: high.min(trimmed_to), is_complete: false });
        }
        high = first_id - 1;
    }
    ranges.push(Range { table: SPARED.into(), low: i64::MIN, high, is_complete: true });
    Ok(ranges)
}

/// The chapter that new entries go to.
pub(super) fn open_one(tx: &Connection) -> rusqlite::Result<i64> {
    tx.prepare_cached("SELECT slot FROM chapters ORDER BY first_id DESC LIMIT 1")?.query_row([], |row| row.get(0))
}

/// Adds an entry's words to a chapter.
pub(super) fn insert_sql(slot: i64) -> String {
    format!("INSERT INTO {} (rowid, message) VALUES (?1, ?2)", table(slot))
}

/// Everything up to this id was trimmed or spared.
pub(super) fn trimmed_to(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT trimmed_to FROM ring")?.query_row([], |row| row.get(0))
}

/// Whether FTS5 takes the expression. Asks the smallest table: what is wrong with an expression is wrong everywhere.
pub(super) fn accepts(conn: &Connection, expression: &str) -> rusqlite::Result<bool> {
    let mut statement = conn.prepare_cached(&format!("SELECT rowid FROM {SPARED} WHERE {SPARED} MATCH ?1 LIMIT 1"))?;
    let outcome = statement.query([expression])?.next().map(drop);
    match outcome {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Begins a new chapter when the newest has its share of the ring and there is a table for another.
pub(super) fn turn_page(tx: &Connection, entries_max: u64) -> rusqlite::Result<()> {
    let share = (entries_max / CHAPTERS_PER_RING).max(CHAPTER_ENTRIES_MIN);
    let next_id = super::max_id(tx)? + 1;
    let newest: i64 = tx.prepare_cached("SELECT max(first_id) FROM chapters")?.query_row([], |row| row.get(0))?;
    if next_id - newest < share as i64 {
        return Ok(());
    }
    let used: Vec<i64> =
        tx.prepare_cached("SELECT slot FROM chapters")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if let Some(slot) = (0..SLOTS).find(|slot| !used.contains(slot)) {
        tx.prepare_cached("INSERT INTO chapters VALUES (?1, ?2)")?.execute([slot, next_id])?;
    }
    Ok(())
}

/// Empties the oldest chapter if the ring has passed it. Up to `slice` entries that were spared of it move first; whether
/// there is more to do.
pub(super) fn close_oldest(tx: &Connection, slice: usize) -> rusqlite::Result<bool> {
    let chapters: Vec<(i64, i64)> = tx
        .prepare_cached("SELECT slot, first_id FROM chapters ORDER BY first_id LIMIT 2")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let [(slot, first_id), (_, end_id)] = chapters[..] else { return Ok(false) };
    if end_id - 1 > trimmed_to(tx)? {
        return Ok(false);
    }
    let moved = spare(tx, first_id, end_id, slice)?;
    // A chapter must not begin where the next one does.
    if moved.len() == slice
        && let Some(last) = moved.last().filter(|last| *last + 1 < end_id)
    {
        tx.prepare_cached("UPDATE chapters SET first_id = ?2 WHERE slot = ?1")?.execute([slot, last + 1])?;
        return Ok(true);
    }
    let table = table(slot);
    tx.prepare_cached(&format!("INSERT INTO {table} ({table}) VALUES ('delete-all')"))?.execute([])?;
    tx.prepare_cached("DELETE FROM chapters WHERE slot = ?1")?.execute([slot])?;
    Ok(true)
}

/// Indexes what is left from `first_id` up to before `end_id` as spared; the ids.
fn spare(tx: &Connection, first_id: i64, end_id: i64, slice: usize) -> rusqlite::Result<Vec<i64>> {
    let mut left =
        tx.prepare_cached("SELECT id, message FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3")?;
    let mut insert = tx.prepare_cached(&format!("INSERT INTO {SPARED} (rowid, message) VALUES (?1, ?2)"))?;
    let mut rows = left.query(params![first_id, end_id, slice as i64])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        insert.execute(params![id, without_colours(&text(row, 1)?)])?;
        ids.push(id);
    }
    Ok(ids)
}

/// Deletes the words of entries that are about to go, where that is due.
pub(super) fn forget(tx: &Connection, ids: impl Iterator<Item = i64>) -> rusqlite::Result<()> {
    let begin: i64 = tx.prepare_cached("SELECT min(first_id) FROM chapters")?.query_row([], |row| row.get(0))?;
    let mut delete = tx.prepare_cached(&format!("DELETE FROM {SPARED} WHERE rowid = ?1"))?;
    for id in ids.filter(|id| *id < begin) {
        delete.execute([id])?;
    }
    Ok(())
}

fn table(slot: i64) -> String {
    format!("search_{slot}")
}
