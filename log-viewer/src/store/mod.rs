//! Every SQL statement of log-viewer: [`mod@append`] writes entries, [`mod@trim`] deletes them, [`chapters`] are the index of
//! their words, [`counts`] know how many there are; [`lists`] and [`search`] read pages, [`stretch`] reads onwards.

mod append;
mod around;
mod chapters;
mod counts;
mod cursors;
#[cfg(test)]
mod figures;
mod histogram;
mod lists;
mod rows;
mod search;
mod stretch;
#[cfg(test)]
pub(crate) mod testing;
mod trim;

use common::db::Migration;
use rusqlite::Connection;

pub(crate) use append::{Batch, append, id_span, max_id};
pub(crate) use around::around;
pub(crate) use counts::{containers, health, newest_times, stats};
pub(crate) use cursors::{cursors, forget_cursors};
pub(crate) use histogram::histogram;
pub(crate) use lists::{Page, page};
pub(crate) use rows::{Listed, entry};
pub(crate) use search::Mode;
pub(crate) use stretch::{Stretch, entries_between};
pub(crate) use trim::{Limits, give_back, trim};

/// Steps 1 to 4 are the original's; its files start somewhere among them.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "entries", sql: include_str!("../../migrations/0001_log_entries.sql") },
    Migration { version: 2, name: "search", sql: include_str!("../../migrations/0002_search.sql") },
    Migration { version: 3, name: "cursors", sql: include_str!("../../migrations/0003_cursors.sql") },
    Migration { version: 4, name: "indexes", sql: include_str!("../../migrations/0004_indexes.sql") },
    Migration { version: 5, name: "a ring in chapters", sql: include_str!("../../migrations/0005_chapters.sql") },
];

/// Runs several queries on one state of the database.
fn on_one_state<T>(conn: &Connection, work: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    // Inside another transaction, as in tests and jobs, that one is the state.
    let tx = conn.is_autocommit().then(|| conn.unchecked_transaction()).transpose()?;
    let outcome = work()?;
    tx.map_or(Ok(()), rusqlite::Transaction::commit)?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{Cursor, FileId};
    use crate::entry::Level;
    use crate::store::testing::{NOW, batch, entry, page, store};

    /// A file of the original at this version, with `more` in it, brought up to date.
    fn migrated(version: usize, more: &str) -> Connection {
        let conn = Connection::open_in_memory().expect("a database");
        let apply = |steps: &[Migration]| {
            for step in steps {
                conn.execute_batch(step.sql).expect(step.name);
            }
        };
        apply(&MIGRATIONS[..version]);
        conn.execute_batch(more).expect(more);
        apply(&MIGRATIONS[version..]);
        conn
    }

    fn one<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
        conn.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    const OLD_ENTRIES: &str = "
        INSERT INTO log_entries (id, timestamp, container, stream, level, message) VALUES
            (3, '2026-01-20T10:00:00Z', 'web-app', 'stdout', 'ERROR', 'first slow query'),
            (4, '2026-01-20T10:00:01Z', 'web-app', 'stderr', 'WARNING', CAST(x'66ff6f' AS TEXT)),
            (5, 'yesterday', 'db', 'stdout', 'odd', 'no time'),
            (6, '9999-01-20T10:00:01Z', 'db', 'stdout', 'INFO', 'too far'),
            (9, '2026-01-20T10:00:01.25+02:00', 'db', 'stdout', 'CRITICAL', x'626c6f62');
        DELETE FROM log_entries WHERE id = 9;
        INSERT INTO log_entries (timestamp, container, message) VALUES ('2026-01-20T10:00:01.25+02:00', 'db', x'626c6f62');";

    #[test]
    fn every_version_of_the_original_is_migrated() {
        for version in 1..=4 {
            let conn = migrated(version, OLD_ENTRIES);
            assert_eq!(page(&conn, ""), (vec![6, 4, 3, 10, 5], 5), "version {version}");
            assert_eq!(page(&conn, "container=web-app&level=%3E%3Dwarning"), (vec![4, 3], 2));
            assert_eq!(page(&conn, "search=%22slow%20query%22"), (vec![3], 1));
            assert_eq!(page(&conn, "search=blob"), (vec![10], 1));
            let of = |id| super::entry(&conn, id).expect("a query").expect("an entry");
            assert_eq!(of(3).time.to_string(), "2026-01-20T10:00:00.000000000Z");
            assert_eq!(of(4).message, "f\u{fffd}o");
            assert_eq!(of(5).time.to_string(), "1970-01-01T00:00:00.000000000Z");
            assert_eq!(of(10).time.to_string(), "2026-01-20T08:00:01.250000000Z");
            assert_eq!(max_id(&conn).expect("an id"), 10);
            store(&conn, "web-app", &["new query"]);
            assert_eq!(page(&conn, "search=query"), (vec![11, 3], 2));
            assert_eq!(page(&conn, "until=1970-01-01").1, 1);
        }
    }

    #[test]
    fn steps_may_have_come_in_another_order() {
        let cursors_first = MIGRATIONS[2].sql;
        let conn = migrated(1, cursors_first);
        assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM cursors"), 0);
        let conn = migrated(3, "DROP TABLE cursors; DROP TRIGGER log_entries_ad; DROP TABLE log_entries_fts");
        assert_eq!(page(&conn, ""), (vec![], 0));
    }

    #[test]
    fn ids_go_on_where_an_emptied_file_stopped() {
        let conn = migrated(4, &format!("{OLD_ENTRIES} DELETE FROM log_entries"));
        store(&conn, "web", &["x"]);
        assert_eq!(page(&conn, ""), (vec![11], 1));
    }

    #[test]
    fn old_cursors_get_their_containers_id() {
        let conn = migrated(
            4,
            "INSERT INTO cursors (container_id, file_path, position, inode, updated_at) VALUES
                ('web-app', '/var/lib/docker/containers/abc123/abc123-json.log', 77, 5, '2026-01-20T10:00:00Z'),
                ('odd', 'nowhere', 1, 1, 'never')",
        );
        let (cursor, moved) = cursors(&conn).expect("cursors").remove(0);
        assert_eq!(
            cursor,
            Cursor {
                container_id: "abc123".into(),
                path: "/var/lib/docker/containers/abc123/abc123-json.log".into(),
                file: FileId { inode: 5, first_record: None },
                stdout: 77,
                stderr: 77,
            }
        );
        assert_eq!(moved.to_string(), "2026-01-20T10:00:00.000000000Z");
        assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM log_cursors"), 1);
    }

    #[test]
    fn the_names_of_the_original_can_be_read() {
        let conn = testing::database();
        append(&conn, &batch("web", vec![entry(-1_768_900_001, Level::Warning, "long ago")]), NOW).expect("stored");
        let row = conn
            .query_row("SELECT id, timestamp, container, stream, level, message, raw FROM log_entries", [], |row| {
                <(i64, String, String, String, String, String, Option<String>)>::try_from(row)
            })
            .expect("a row");
        let expected = (1, "1969-12-31T23:59:59.000000000Z", "web", "stdout", "WARNING", "long ago", None::<String>);
        let (id, timestamp, container, stream, level, message, raw) = &row;
        assert_eq!(
            (
                *id,
                timestamp.as_str(),
                container.as_str(),
                stream.as_str(),
                level.as_str(),
                message.as_str(),
                raw.clone()
            ),
            expected
        );
        assert_eq!(one::<String>(&conn, "SELECT message FROM log_entries_fts WHERE rowid = 1"), "long ago");
        let sql = "SELECT container_id || file_path || position || inode || updated_at FROM cursors";
        assert_eq!(one::<String>(&conn, sql), "id-web712026-01-20T09:06:40Z");
    }

    #[test]
    fn cursors_are_kept_with_all_their_bits() {
        let conn = testing::database();
        let mut batch = batch("web", vec![]);
        batch.cursor.file = FileId { inode: u64::MAX, first_record: Some(u64::MAX - 1) };
        batch.cursor.stderr = 1 << 63;
        for _ in 0..2 {
            append(&conn, &batch, NOW).expect("stored");
        }
        let all = cursors(&conn).expect("cursors");
        assert_eq!(all.into_iter().map(|(cursor, _)| cursor).collect::<Vec<_>>(), [batch.cursor.clone()]);
        let later = NOW.saturating_add(std::time::Duration::from_secs(1));
        let none: [&str; 0] = [];
        assert_eq!(forget_cursors(&conn, later, 9, &["id-web".into()]).expect("forgotten"), none);
        assert_eq!(forget_cursors(&conn, NOW, 9, &[]).expect("forgotten"), none);
        assert_eq!(forget_cursors(&conn, NOW, 0, &["id-web".into()]).expect("forgotten"), none);
        assert_eq!(forget_cursors(&conn, later, 9, &[]).expect("forgotten"), ["id-web"]);
    }

    #[test]
    fn health_and_containers() {
        let conn = testing::database();
        assert_eq!(health(&conn).expect("health"), (0, None));
        assert_eq!(newest_times(&conn).expect("times"), []);
        for name in ["web", "db"] {
            let entries = vec![entry(5, Level::Error, "x"), entry(3, Level::Info, "y")];
            append(&conn, &batch(name, entries), NOW).expect("stored");
        }
        let newest = entry(5, Level::Info, "").time;
        assert_eq!(health(&conn).expect("health"), (4, Some(newest)));
        assert_eq!(containers(&conn).expect("containers"), [("db".into(), 2), ("web".into(), 2)]);
        let mut times = newest_times(&conn).expect("times");
        times.sort();
        assert_eq!(times, [("db".into(), newest), ("web".into(), newest)]);
        let stats = stats(&conn).expect("stats");
        assert_eq!(stats.by_level, [(Level::Info, 2), (Level::Error, 2)]);
        assert_eq!((stats.total, stats.oldest, stats.newest), (4, Some(entry(3, Level::Info, "").time), Some(newest)));
        // More than fits at once: the caller goes on after `upto`.
        let long = "x".repeat(400_000);
        let entries = (0..4).map(|second| entry(second, Level::Info, &long)).collect();
        append(&conn, &batch("long", entries), NOW).expect("stored");
        let stretch = entries_between(&conn, &testing::filter("container=long"), 4, 8, 100).expect("a stretch");
        assert_eq!((stretch.entries.len(), stretch.upto), (2, 6));
        let stretch = entries_between(&conn, &testing::filter("search=x"), 0, 3, 1).expect("a stretch");
        assert_eq!((stretch.entries.len(), stretch.upto), (1, 1));
    }
}
