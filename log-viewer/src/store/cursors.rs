//! How far each container's log was read.

use common::clock::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::cursor::{Cursor, FileId};
use crate::entry::LogTime;

/// All cursors, each with the time when it moved last.
pub(crate) fn cursors(conn: &Connection) -> rusqlite::Result<Vec<(Cursor, LogTime)>> {
    conn.prepare_cached("SELECT container_id, path, inode, first_record, stdout, stderr, updated_at FROM log_cursors")?
        .query_map([], |row| Ok((cursor(row)?, LogTime::from_nanos(row.get(6)?))))?
        .collect()
}

/// Deletes the cursors that did not move since then, and all but the newest `unwatched_max`, but for those of containers that
/// are still `watched`: they are only quiet, and without it their logs would be read again. Which went.
pub(crate) fn forget_cursors(
    tx: &Connection,
    not_moved_since: Timestamp,
    unwatched_max: usize,
    watched: &[String],
) -> rusqlite::Result<Vec<String>> {
    let since = LogTime::from(not_moved_since).nanos();
    let mut statement =
        tx.prepare_cached("SELECT container_id, updated_at FROM log_cursors ORDER BY updated_at DESC")?;
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let all: Vec<(String, i64)> = all.collect::<Result<_, _>>()?;
    let unwatched = all.into_iter().filter(|(id, _)| !watched.contains(id)).enumerate();
    let old = unwatched.filter(|(number, (_, moved))| *moved < since || *number >= unwatched_max);
    let gone: Vec<String> = old.map(|(_, (id, _))| id).collect();
    for id in &gone {
        tx.prepare_cached("DELETE FROM log_cursors WHERE container_id = ?1")?.execute([id])?;
    }
    Ok(gone)
}

pub(super) fn put(tx: &Connection, cursor: &Cursor, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO log_cursors VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            cursor.container_id,
            cursor.path,
            cursor.file.inode as i64,
            cursor.file.first_record.map(|hash| hash as i64),
            cursor.stdout as i64,
            cursor.stderr as i64,
            LogTime::from(now).nanos(),
        ])
        .map(drop)
}

/// Numbers are stored with their bits as they are: SQLite knows no unsigned ones.
fn cursor(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    let unsigned = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
    let first_record = row.get::<_, Option<i64>>(3)?.map(|hash| hash as u64);
    Ok(Cursor {
        container_id: row.get(0)?,
        path: row.get(1)?,
        file: FileId { inode: unsigned(2)?, first_record },
        stdout: unsigned(4)?,
        stderr: unsigned(5)?,
    })
}
