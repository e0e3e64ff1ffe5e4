//! Every SQL statement of browser-relay: [`keys`] of projects, source [`maps`] and what is read of them in [`pieces`], and
//! the [`outbox`].

pub(crate) mod keys;
pub(crate) mod maps;
pub(crate) mod outbox;
pub(crate) mod pieces;

use common::db::Migration;

/// Steps 1 to 3 are the original's; its files start somewhere among them.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "DSN keys", sql: include_str!("../../migrations/0001_dsn_keys.sql") },
    Migration { version: 2, name: "source maps", sql: include_str!("../../migrations/0002_source_maps.sql") },
    Migration { version: 3, name: "indexes", sql: include_str!("../../migrations/0003_indexes.sql") },
    Migration { version: 4, name: "origins, outbox", sql: include_str!("../../migrations/0004_keys_and_outbox.sql") },
    Migration { version: 5, name: "source maps in pieces", sql: include_str!("../../migrations/0005_maps.sql") },
];

#[cfg(test)]
pub(crate) mod testing {
    use rusqlite::Connection;

    /// A map of the original: its URL and its text.
    pub(crate) const INSERT_ORIGINAL_MAP: &str =
        "INSERT INTO source_maps (project, release, file_url, map_content) VALUES ('web', '1', ?1, ?2)";

    /// An empty database in memory with our schema.
    pub(crate) fn database() -> Connection {
        let conn = Connection::open_in_memory().expect("a database");
        original_database(&conn, |_| ());
        conn
    }

    /// Brings a database to our schema; before our own steps it is filled as the original would.
    pub(crate) fn original_database(conn: &Connection, fill: impl FnOnce(&Connection)) {
        let (originals, ours) = super::MIGRATIONS.split_at(3);
        let apply = |migrations: &[super::Migration]| {
            for migration in migrations {
                conn.execute_batch(migration.sql).expect(migration.name);
            }
        };
        apply(originals);
        fill(conn);
        apply(ours);
    }
}
