//! DSN keys in the database.

use common::clock::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::cors::Origins;
use crate::dsn::{Dsn, KEYS_BYTES_MAX, KEYS_MAX};

/// A key as operators see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) id: i64,
    pub(crate) public_key: String,
    pub(crate) project: String,
    pub(crate) is_active: bool,
    pub(crate) created_at: String,
    pub(crate) origins: Vec<String>,
}

/// What became of a new key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there, with this id.
    Yes(i64),
    /// There are as many as can be.
    TooMany,
    /// Their texts take as much memory as they may.
    TooLarge,
}

/// What became of a key that was to be deactivated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deactivated {
    /// It was active until now.
    Now,
    /// It was inactive already.
    Before,
    /// There is no such key.
    Unknown,
}

/// Stores a key.
pub(crate) fn create(
    tx: &Connection,
    now: Timestamp,
    key: &str,
    project: &str,
    origins: &[String],
) -> rusqlite::Result<Created> {
    let origins = (!origins.is_empty()).then(|| origins.join(","));
    let (count, bytes) = size_of_active(tx)?;
    if count >= KEYS_MAX {
        return Ok(Created::TooMany);
    }
    if bytes + key.len() + project.len() + origins.as_ref().map_or(0, String::len) > KEYS_BYTES_MAX {
        return Ok(Created::TooLarge);
    }
    tx.prepare_cached("INSERT INTO dsn_keys (public_key, project, created_at, origins) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key, project, now.to_string(), origins])?;
    Ok(Created::Yes(tx.last_insert_rowid()))
}

/// Stores a key of the configuration unless it is known; one that was deactivated stays so.
pub(crate) fn seed(tx: &Connection, now: Timestamp, key: &str, project: &str) -> rusqlite::Result<()> {
    // `INSERT OR IGNORE` would write even then, for `AUTOINCREMENT`'s sake, and a full disk would keep the relay from starting.
    if tx.prepare_cached("SELECT 1 FROM dsn_keys WHERE public_key = ?1")?.exists([key])? {
        return Ok(());
    }
    tx.prepare_cached("INSERT INTO dsn_keys (public_key, project, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![key, project, now.to_string()])
        .map(drop)
}

/// Deactivates a key.
pub(crate) fn deactivate(tx: &Connection, id: i64) -> rusqlite::Result<Deactivated> {
    if tx.prepare_cached("UPDATE dsn_keys SET active = 0 WHERE id = ?1 AND active")?.execute([id])? > 0 {
        return Ok(Deactivated::Now);
    }
    let is_known = tx.prepare_cached("SELECT 1 FROM dsn_keys WHERE id = ?1")?.exists([id])?;
    Ok(if is_known { Deactivated::Before } else { Deactivated::Unknown })
}

/// The active keys, with what the gate must know of each.
pub(crate) fn active(conn: &Connection) -> rusqlite::Result<Vec<(String, Dsn)>> {
    let sql = "SELECT public_key, id, project, origins FROM dsn_keys WHERE active ORDER BY id LIMIT ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([KEYS_MAX as i64], |row| {
        let origins = origins(row, 3)?;
        // A list that cannot be read (it was checked before it was stored) lets no page in, rather than the pages of all keys.
        let origins = (!origins.is_empty()).then(|| Origins::parse(&origins).unwrap_or_default());
        Ok((row.get(0)?, Dsn { id: row.get(1)?, project: row.get(2)?, origins }))
    })?;
    rows.collect()
}

/// The next keys after this id, inactive ones included.
pub(crate) fn list(conn: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<KeyRow>> {
    let sql = "SELECT id, public_key, project, active, created_at, origins FROM dsn_keys
               WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([after, limit as i64], |row| {
        Ok(KeyRow {
            id: row.get(0)?,
            public_key: row.get(1)?,
            project: row.get(2)?,
            is_active: row.get(3)?,
            created_at: created_at(row, 4)?,
            origins: origins(row, 5)?,
        })
    })?;
    rows.collect()
}

/// How many keys are active, and the bytes of their texts.
fn size_of_active(conn: &Connection) -> rusqlite::Result<(usize, usize)> {
    let sql = "SELECT count(*), total(length(public_key) + length(project) + length(coalesce(origins, '')))
               FROM dsn_keys WHERE active";
    conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get::<_, i64>(0)? as usize, row.get::<_, f64>(1)? as usize)))
}

fn origins(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default())
}

/// The original's default is `2026-01-20 10:00:00`.
fn created_at(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let text: String = row.get(column)?;
    Ok(Timestamp::parse(&text).map_or(text, |at| at.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    const NOW: Timestamp = Timestamp::from_millis(1_768_903_200_000);

    #[test]
    fn origins_that_cannot_be_read_let_no_page_in() {
        let conn = database();
        create(&conn, NOW, "one", "web", &["https://a.example".into(), "what is this".into()]).expect("stored");
        let keys = active(&conn).expect("keys");
        assert_eq!(keys[0].1.origins, Some(Origins::default()));
    }

    #[test]
    fn active_keys_are_bounded_in_memory() {
        let conn = database();
        let origins = vec!["https://x.example/".repeat(14); 32];
        let created = (0..KEYS_MAX).map(|n| create(&conn, NOW, &n.to_string(), "web", &origins).expect("an answer"));
        let kept = created.take_while(|created| matches!(created, Created::Yes(_))).count();
        assert!((200..300).contains(&kept), "{kept}");
        assert_eq!(create(&conn, NOW, "one more", "web", &origins), Ok(Created::TooLarge));
        assert_eq!(deactivate(&conn, 1), Ok(Deactivated::Now));
        assert!(matches!(create(&conn, NOW, "one more", "web", &origins), Ok(Created::Yes(_))));
    }

    #[test]
    fn a_key_is_active_until_it_is_not() {
        let conn = database();
        assert_eq!(create(&conn, NOW, "one", "web", &["https://a.example".into()]), Ok(Created::Yes(1)));
        seed(&conn, NOW, "two", "shop").expect("stored");
        seed(&conn, NOW, "one", "other").expect("ignored");
        let keys = active(&conn).expect("keys");
        assert_eq!(
            keys.iter().map(|(key, dsn)| (key.as_str(), dsn.project.as_str())).collect::<Vec<_>>(),
            [("one", "web"), ("two", "shop")]
        );
        assert!(keys[0].1.origins.as_ref().is_some_and(|origins| origins.allow("https://a.example")));
        for (id, expected) in [(1, Deactivated::Now), (1, Deactivated::Before), (9, Deactivated::Unknown)] {
            assert_eq!(deactivate(&conn, id), Ok(expected));
        }
        seed(&conn, NOW, "one", "web").expect("ignored");
        assert_eq!(active(&conn).expect("keys").len(), 1);
        let rows = list(&conn, 0, 10).expect("keys");
        assert_eq!((rows.len(), rows[0].is_active, rows[0].created_at.as_str()), (2, false, "2026-01-20T10:00:00Z"));
        assert_eq!(list(&conn, 1, 10).expect("keys")[0].id, 2);
    }
}
