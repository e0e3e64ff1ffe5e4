//! For tests of what is stored: databases as a service, its original or another program sees them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::db::{self, Migration};

/// An empty database in memory with a service's schema.
pub fn in_memory(migrations: &[Migration]) -> Connection {
    with_schema(Connection::open_in_memory().expect("a database"), migrations)
}

/// The same in a file.
pub fn in_file(path: &Path, migrations: &[Migration]) -> Connection {
    with_schema(open(path), migrations)
}

fn with_schema(mut conn: Connection, migrations: &[Migration]) -> Connection {
    db::apply(&mut conn, 0, migrations.last().map_or(0, |last| last.version), migrations).expect("the schema");
    conn
}

/// A file as the original leaves it after these of its migrations.
pub fn original(path: &Path, steps: &[&str]) -> Connection {
    let conn = open(path);
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)")
        .expect("made");
    for step in steps {
        conn.execute_batch(step).expect(step);
    }
    conn.execute("INSERT INTO _meta VALUES ('schema_version', ?1)", [steps.len().to_string()]).expect("marked");
    conn
}

/// A file as another program sees it.
pub fn read_only(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database")
}

/// A file that another program writes to.
pub fn read_write(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database")
}

/// The file is sound.
#[track_caller]
pub fn check_integrity(path: &Path) {
    let verdict: String = read_only(path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok");
}

#[expect(clippy::disallowed_methods, reason = "makes a file as another program does")]
fn open(path: &Path) -> Connection {
    Connection::open(path).expect("a database")
}
