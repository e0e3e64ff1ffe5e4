//! Which minutes and hours are still to be rolled up.
//!
//! A minute is closed a while after its end. From then on a point in it is late: its batch marks the minute as pending once
//! more, in the transaction that stores the point. So what is stored and not rolled up is always either in a minute that is
//! not closed, or in one that is pending.

use rusqlite::{Connection, OptionalExtension as _};

const SECONDS_PER_MINUTE: i64 = 60;

/// The first second that is not in a closed minute; 0 before the first one is closed.
pub(crate) fn closed_until(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT CAST(value AS INTEGER) FROM _meta WHERE key = 'minutes_closed_until'";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Marks a minute that has got a late point.
pub(crate) fn mark_late(tx: &Connection, minute: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO pending (seconds, bucket, changes) VALUES (?1, ?2, 1)
         ON CONFLICT (seconds, bucket) DO UPDATE SET changes = changes + 1",
    )?
    .execute([SECONDS_PER_MINUTE, minute])
    .map(drop)
}
