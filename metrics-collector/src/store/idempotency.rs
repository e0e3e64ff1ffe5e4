//! Batches that came with an `Idempotency-Key`, so that a repeat counts once.

use std::time::Duration;

use common::clock::Timestamp;
use common::http::idempotency::Once;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::points::Recorded;

/// How long a key is remembered: longer than any client goes on trying.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of a batch with this key before.
pub(crate) fn find(tx: &Connection, once: &Once) -> rusqlite::Result<Option<Recorded>> {
    let sql = "SELECT body = ?2, count FROM idempotency_keys WHERE key = ?1";
    let found = tx.prepare_cached(sql)?.query_row(params![once.key, once.body], |row| {
        let is_same: bool = row.get(0)?;
        let count: i64 = row.get(1)?;
        Ok(if is_same { Recorded::Repeated { count: count as usize } } else { Recorded::KeyReused })
    });
    found.optional()
}

/// Remembers a key with the points it stands for.
pub(crate) fn remember(tx: &Connection, now: Timestamp, once: &Once, count: usize) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO idempotency_keys (key, body, count, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![once.key, once.body, count as i64, now.millis()])
        .map(drop)
}

/// Forgets up to `limit` keys that are old enough; how many.
pub(crate) fn forget(tx: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys WHERE at < ?1 LIMIT ?2)",
    )?
    .execute(params![now.saturating_sub(KEPT).millis(), limit as i64])
}
