//! For the unit tests of the store: a database in memory, and points in it.

use common::clock::Timestamp;
use common::testing::{TempDir, database};
use rusqlite::Connection;

use super::{MIGRATIONS, points};
use crate::series::{SeriesId, Type};

/// All tables.
pub(crate) fn database() -> Connection {
    database::in_memory(MIGRATIONS)
}

/// The same in a file.
pub(crate) fn database_in(folder: &TempDir) -> Connection {
    database::in_file(&folder.path().join("x.db"), MIGRATIONS)
}

/// A new series of that name; its id.
pub(crate) fn add_series(conn: &Connection, name: &str, kind: Type) -> SeriesId {
    let sql = "INSERT INTO series (name, type, project, labels, last_hour) VALUES (?1, ?2, '', '{}', 0)";
    conn.execute(sql, [name, kind.name()]).expect("a series");
    conn.last_insert_rowid()
}

/// Points as series, milliseconds and value.
pub(crate) fn add_points(conn: &Connection, all: &[(SeriesId, i64, f64)]) {
    let tx = conn.is_autocommit().then(|| conn.unchecked_transaction().expect("a transaction"));
    let mut statement = conn
        .prepare(
            "INSERT INTO points (id, series, value)
             SELECT coalesce(max(id), ?1 - 1) + 1, ?3, ?4 FROM points WHERE id >= ?1 AND id < ?2",
        )
        .expect("a statement");
    for (series, millis, value) in all {
        let [first, end] = [0, 1].map(|more| points::first_id(Timestamp::from_millis(millis + more)));
        statement.execute((first, end, series, value)).expect("a point");
    }
    if let Some(tx) = tx {
        tx.commit().expect("committed");
    }
}
