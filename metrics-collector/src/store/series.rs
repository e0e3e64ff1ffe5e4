//! Which series there are.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::series::{Key, Keyer, Series, SeriesId};

/// The ids of series that were written to lately, so that a batch costs no lookups. It knows only what is committed, and no
/// series that may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) keyer: Keyer,
    ids: Mutex<HashMap<Key, SeriesId>>,
}

impl Catalog {
    /// Whether the series needs no definition.
    pub(crate) fn knows(&self, key: Key) -> bool {
        self.lock().contains_key(&key)
    }

    /// Several lookups at once.
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Key, SeriesId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call it when they are committed.
    pub(crate) fn learn(&self, ids: impl IntoIterator<Item = (Key, SeriesId)>) {
        self.lock().extend(ids);
    }

    /// Knows this one no longer, and whether it did. Called within the job that decides whether the series is forgotten.
    pub(crate) fn take_out(&self, series: SeriesId) -> bool {
        let mut ids = self.lock();
        let before = ids.len();
        ids.retain(|_, id| *id != series);
        ids.len() < before
    }
}

/// The id of a series if it is stored; then it counts as used in this hour.
pub(crate) fn find(tx: &Connection, series: &Series, hour: i64) -> rusqlite::Result<Option<SeriesId>> {
    let Series { name, kind, project, labels } = series;
    let sql = "UPDATE series SET last_hour = max(last_hour, ?5)
               WHERE name = ?1 AND type = ?2 AND project = ?3 AND labels = ?4 RETURNING id";
    tx.prepare_cached(sql)?.query_row(params![name, kind.name(), project, labels, hour], |row| row.get(0)).optional()
}

/// Stores a series that is not there.
pub(crate) fn insert(tx: &Connection, series: &Series, hour: i64) -> rusqlite::Result<SeriesId> {
    let Series { name, kind, project, labels } = series;
    tx.prepare_cached("INSERT INTO series (name, type, project, labels, last_hour) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![name, kind.name(), project, labels, hour])?;
    Ok(tx.last_insert_rowid())
}

/// How many there are.
pub(crate) fn count(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT count(*) FROM series")?.query_row([], |row| row.get(0))
}
