//! Scaffold of the store.

use std::time::Duration;

use common::clock::Timestamp;
use common::db::Migration;
use rusqlite::{Connection, params};

use crate::cursor::{Cursor, FileId};
use crate::entry::{Entry, Level, LogTime, NewEntry, Stream};
use crate::filter::Filter;

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "scaffold", sql: include_str!("../../migrations/9999_scaffold.sql") }];

pub(crate) struct Limits {
    pub(crate) entries_max: u64,
    pub(crate) entries_per_container_min: u64,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) age_max: Option<Duration>,
}

pub(crate) struct Batch {
    pub(crate) container: String,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) cursor: Cursor,
}

pub(crate) fn append(tx: &Connection, batch: &Batch, now: Timestamp) -> rusqlite::Result<i64> {
    tx.prepare_cached("INSERT OR IGNORE INTO containers (name) VALUES (?1)")?.execute([&batch.container])?;
    let container: i64 = tx
        .prepare_cached("SELECT id FROM containers WHERE name = ?1")?
        .query_row([&batch.container], |row| row.get(0))?;
    let first = max_id(tx)? + 1;
    let mut insert = tx.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (entry, id) in batch.entries.iter().zip(first..) {
        let kind = entry.level as i64 * 2 + entry.stream as i64;
        insert.execute(params![id, container, entry.time.nanos(), kind, entry.message])?;
    }
    let c = &batch.cursor;
    tx.prepare_cached("INSERT OR REPLACE INTO log_cursors VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        c.container_id,
        c.path,
        c.file.inode as i64,
        c.file.first_record.map(|h| h as i64),
        c.stdout as i64,
        c.stderr as i64,
        LogTime::from(now).nanos()
    ])?;
    Ok(first)
}

pub(crate) fn max_id(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT coalesce(max(id), 0) FROM entries", [], |row| row.get(0))
}

pub(crate) fn cursors(conn: &Connection) -> rusqlite::Result<Vec<(Cursor, LogTime)>> {
    conn.prepare("SELECT * FROM log_cursors")?
        .query_map([], |row| {
            let file = FileId {
                inode: row.get::<_, i64>(2)? as u64,
                first_record: row.get::<_, Option<i64>>(3)?.map(|h| h as u64),
            };
            let cursor = Cursor {
                container_id: row.get(0)?,
                path: row.get(1)?,
                file,
                stdout: row.get::<_, i64>(4)? as u64,
                stderr: row.get::<_, i64>(5)? as u64,
            };
            Ok((cursor, LogTime::from_nanos(row.get(6)?)))
        })?
        .collect()
}

pub(crate) fn newest_times(conn: &Connection) -> rusqlite::Result<Vec<(String, LogTime)>> {
    conn.prepare("SELECT name, max(time) FROM entries JOIN containers c ON c.id = container_id GROUP BY 1")?
        .query_map([], |row| Ok((row.get(0)?, LogTime::from_nanos(row.get(1)?))))?
        .collect()
}

pub(crate) fn entries_between(
    conn: &Connection,
    _filter: &Filter,
    after: i64,
    upto: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Entry>> {
    conn.prepare("SELECT e.id, name, time, kind, message FROM entries e JOIN containers c ON c.id = container_id WHERE e.id > ?1 AND e.id <= ?2 ORDER BY e.id LIMIT ?3")?
        .query_map(params![after, upto, limit as i64], |row| {
            let kind: i64 = row.get(3)?;
            Ok(Entry {
                id: row.get(0)?,
                container: row.get(1)?,
                time: LogTime::from_nanos(row.get(2)?),
                stream: if kind % 2 == 0 { Stream::Stdout } else { Stream::Stderr },
                level: Level::ALL[(kind / 2) as usize],
                message: row.get(4)?,
            })
        })?
        .collect()
}

pub(crate) fn health(conn: &Connection) -> rusqlite::Result<(i64, Option<LogTime>)> {
    conn.query_row("SELECT count(*), max(time) FROM entries", [], |row| {
        Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(LogTime::from_nanos)))
    })
}
