//! Source maps in the database.

use common::clock::Timestamp;
use rusqlite::{Connection, MAIN_DB, OptionalExtension as _, params};

use super::pieces::TEXT_BYTES;
use crate::sourcemap::arriving::NewMap;
use crate::sourcemap::file_url::path_of;
use crate::sourcemap::parse::{MAP_BYTES_MAX, PIECES_END, Sheet, SourceMap};

/// A map as operators see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MapRow {
    pub(crate) id: i64,
    pub(crate) project: String,
    pub(crate) release: String,
    pub(crate) file_url: String,
    pub(crate) uploaded_at: String,
    /// Why it cannot be used: the original took maps that are none.
    pub(crate) problem: Option<String>,
}

/// Stores a map in place of the one it had for the same file; its id, a new one.
pub(crate) fn replace(tx: &Connection, now: Timestamp, new: &NewMap) -> rusqlite::Result<i64> {
    let NewMap { project, release, file_url, map } = new;
    let old = tx
        .prepare_cached("SELECT id FROM maps WHERE project = ?1 AND release = ?2 AND file_url = ?3")?
        .query_row([project, release, file_url], |row| row.get(0))
        .optional()?;
    if let Some(old) = old {
        delete(tx, old)?;
    }
    let sql = "INSERT INTO maps (project, release, file_url, map_content, uploaded_at, path)
               VALUES (?1, ?2, ?3, '', ?4, ?5)";
    tx.prepare_cached(sql)?.execute(params![project, release, file_url, now.to_string(), path_of(file_url)])?;
    let id = tx.last_insert_rowid();
    insert_sheets(tx, id, map)?;
    Ok(id)
}

/// Deletes a map; whether there was one.
pub(crate) fn delete(tx: &Connection, id: i64) -> rusqlite::Result<bool> {
    tx.prepare_cached("DELETE FROM map_contents WHERE sheet IN (SELECT id FROM map_sheets WHERE map = ?1)")?
        .execute([id])?;
    // The texts of a map were stored together, so nothing else is between them.
    let sql = "DELETE FROM map_texts WHERE id BETWEEN (SELECT min(first_text) FROM map_sheets WHERE map = ?1)
               AND (SELECT max(last_text) FROM map_sheets WHERE map = ?1)";
    tx.prepare_cached(sql)?.execute([id])?;
    tx.prepare_cached("DELETE FROM map_sheets WHERE map = ?1")?.execute([id])?;
    Ok(tx.prepare_cached("DELETE FROM maps WHERE id = ?1")?.execute([id])? > 0)
}

/// Deletes up to `limit` maps that were uploaded before; how many those were.
pub(crate) fn delete_uploaded_before(tx: &Connection, cutoff: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let mut statement =
        tx.prepare_cached("SELECT id FROM maps WHERE uploaded_at < ?1 ORDER BY uploaded_at LIMIT ?2")?;
    let ids = statement.query_map(params![cutoff.to_string(), limit as i64], |row| row.get(0))?;
    let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        delete(tx, *id)?;
    }
    Ok(ids.len())
}

/// The next maps after this id, of one project or of all.
pub(crate) fn list(
    conn: &Connection,
    project: Option<&str>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<MapRow>> {
    let sql = "SELECT id, project, release, file_url, uploaded_at, problem FROM maps
               WHERE id > ?1 AND (?2 IS NULL OR project = ?2) ORDER BY id LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![after, project, limit as i64], |row| {
        let uploaded_at: String = row.get(4)?;
        Ok(MapRow {
            id: row.get(0)?,
            project: row.get(1)?,
            release: row.get(2)?,
            file_url: row.get(3)?,
            uploaded_at: iso(uploaded_at),
            problem: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// How many there are, of one project or of all.
pub(crate) fn count(conn: &Connection, project: Option<&str>) -> rusqlite::Result<i64> {
    let mut statement = conn.prepare_cached("SELECT count(*) FROM maps WHERE ?1 IS NULL OR project = ?1")?;
    statement.query_row([project], |row| row.get(0))
}

/// A map of the original that has not been read yet.
pub(crate) struct Unread {
    pub(crate) id: i64,
    pub(crate) file_url: String,
    uploaded_at: String,
    /// Empty when it is larger than any map may be.
    pub(crate) text: Vec<u8>,
}

/// The next map that is still as the original stored it.
pub(crate) fn next_unread(conn: &Connection) -> rusqlite::Result<Option<Unread>> {
    let sql = "SELECT id, file_url, uploaded_at FROM maps WHERE path IS NULL AND problem IS NULL ORDER BY id LIMIT 1";
    let row = conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((id, file_url, uploaded_at)) = row else { return Ok(None) };
    // Read like this it is in memory once.
    let blob = conn.blob_open(MAIN_DB, "maps", "map_content", id, true)?;
    let mut text = Vec::new();
    if blob.len() <= MAP_BYTES_MAX {
        text.resize(blob.len(), 0);
        blob.read_at_exact(&mut text, 0)?;
    }
    Ok(Some(Unread { id, file_url, uploaded_at, text }))
}

/// Stores such a map in its new form, unless it was deleted meanwhile.
pub(crate) fn store_read(tx: &Connection, unread: &Unread, map: &SourceMap) -> rusqlite::Result<()> {
    let sql = "UPDATE maps SET map_content = '', path = ?2, uploaded_at = ?3 WHERE id = ?1";
    let uploaded_at = iso(unread.uploaded_at.clone());
    let found = tx.prepare_cached(sql)?.execute(params![unread.id, path_of(&unread.file_url), uploaded_at])?;
    if found > 0 { insert_sheets(tx, unread.id, map) } else { Ok(()) }
}

/// Leaves such a map as it is, for good.
pub(crate) fn store_problem(tx: &Connection, id: i64, problem: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE maps SET problem = ?2 WHERE id = ?1")?.execute(params![id, problem]).map(drop)
}

fn insert_sheets(tx: &Connection, map_id: i64, map: &SourceMap) -> rusqlite::Result<()> {
    let mut ids = Vec::with_capacity(map.sheets.len());
    for sheet in &map.sheets {
        let (first_text, last_text) = insert_text(tx, map, sheet)?;
        let sql =
            "INSERT INTO map_sheets (map, line, column, first_text, last_text, places) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        tx.prepare_cached(sql)?.execute(params![
            map_id,
            sheet.line,
            sheet.column,
            first_text,
            last_text,
            sheet.index
        ])?;
        ids.push(tx.last_insert_rowid());
    }
    let sql = "INSERT INTO map_contents (sheet, source, first_line, bytes, lines) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = tx.prepare_cached(sql)?;
    for part in &map.contents.parts {
        let (sheet, lines) = (ids[part.sheet as usize], map.contents.data(part));
        statement.execute(params![sheet, part.source, part.first_line, part.bytes, lines])?;
    }
    Ok(())
}

/// Stores the text of a sheet in rows of one size; the first and the last one's number.
fn insert_text(tx: &Connection, map: &SourceMap, sheet: &Sheet) -> rusqlite::Result<(i64, i64)> {
    let mut statement = tx.prepare_cached("INSERT INTO map_texts (text) VALUES (?1)")?;
    let mut row = Vec::new();
    let mut first = None;
    let mut insert = |row: &mut Vec<u8>| {
        let id = statement.insert([&*row])?;
        row.clear();
        rusqlite::Result::Ok((*first.get_or_insert(id), id))
    };
    for mut piece in map.pieces(sheet).into_iter().chain([PIECES_END]) {
        while row.len() + piece.len() >= TEXT_BYTES {
            let (now, later) = piece.split_at(TEXT_BYTES - row.len());
            row.extend_from_slice(now);
            insert(&mut row)?;
            piece = later;
        }
        row.extend_from_slice(piece);
    }
    // Perhaps empty: then the text ends where a row does.
    insert(&mut row)
}

/// The original's default is `2026-01-20 10:00:00`.
fn iso(text: String) -> String {
    Timestamp::parse(&text).map_or(text, |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::pieces;
    use crate::store::testing::{INSERT_ORIGINAL_MAP, database, original_database};

    const NOW: Timestamp = Timestamp::from_millis(1_768_903_200_000);

    fn new(file_url: &str, map: &Value) -> NewMap {
        let body = json!({"project": "web", "release": "1", "file_url": file_url, "map_content": map.to_string()});
        NewMap::parse(body.to_string().into_bytes()).expect("an upload")
    }

    fn map(name: &str) -> Value {
        json!({"version": 3, "sources": ["a.ts"], "names": [name], "mappings": "AAAAA", "sourcesContent": ["text of a\n"]})
    }

    fn rows(conn: &Connection) -> Vec<i64> {
        let tables = ["maps", "map_sheets", "map_texts", "map_contents"];
        let count =
            |table| conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect(table);
        tables.map(count).to_vec()
    }

    #[test]
    fn a_map_replaces_the_one_of_its_file_and_nothing_is_left_of_that() {
        let conn = database();
        let first = replace(&conn, NOW, &new("/a.js", &map("x"))).expect("stored");
        let other = replace(&conn, NOW, &new("/b.js", &map("y"))).expect("stored");
        let second = replace(&conn, NOW, &new("/a.js", &map("z"))).expect("stored");
        assert_eq!((first, other, second), (1, 2, 3));
        assert_eq!(rows(&conn), [2, 2, 2, 2]);
        assert_eq!(list(&conn, Some("web"), 2, 9).expect("maps")[0].uploaded_at, "2026-01-20T10:00:00Z");
        assert_eq!((count(&conn, None), count(&conn, Some("")), count(&conn, Some("web"))), (Ok(2), Ok(0), Ok(2)));
        assert_eq!(
            (delete(&conn, other), delete(&conn, other), delete(&conn, second)),
            (Ok(true), Ok(false), Ok(true))
        );
        assert_eq!(rows(&conn), [0, 0, 0, 0]);
    }

    #[test]
    fn retention_takes_the_oldest_first_and_a_few_at_a_time() {
        let conn = database();
        for day in 0..5 {
            let at = NOW.saturating_add(std::time::Duration::from_secs(day * 86_400));
            replace(&conn, at, &new(&format!("/{day}.js"), &map("x"))).expect("stored");
        }
        let cutoff = NOW.saturating_add(std::time::Duration::from_secs(3 * 86_400));
        assert_eq!([2, 2, 2].map(|limit| delete_uploaded_before(&conn, cutoff, limit)), [Ok(2), Ok(1), Ok(0)]);
        assert_eq!(list(&conn, None, 0, 9).expect("maps").iter().map(|row| row.id).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(rows(&conn), [2, 2, 2, 2]);
    }

    #[test]
    fn a_script_is_found_by_its_path() {
        let conn = database();
        let store = |url: &str| replace(&conn, NOW, &new(url, &map("x"))).expect("stored");
        let (full, plain, query) = (store("https://ex.com/static/a.js"), store("/b.js"), store("/b.js?v=2"));
        let (here, there) = (store("https://here.example/c.js"), store("https://there.example/c.js"));
        for (url, expected) in [
            ("https://ex.com/static/a.js", Some(full)),
            ("http://localhost:8000/static/a.js", Some(full)),
            ("/static/a.js?x#y", Some(full)),
            ("https://ex.com/b.js", Some(plain)),
            ("https://ex.com/b.js?v=2", Some(query)),
            ("https://ex.com/b.js?v=3", Some(plain)),
            ("b.js", None),
            ("https://ex.com/static/", None),
            ("https://here.example/c.js", Some(here)),
            ("https://there.example/c.js", Some(there)),
            ("https://elsewhere.example/c.js", Some(there)),
        ] {
            assert_eq!(pieces::find(&conn, "web", "1", url), Ok(expected), "{url}");
        }
        assert_eq!(pieces::find(&conn, "web", "2", "/b.js"), Ok(None));
        assert_eq!(pieces::find(&conn, "shop", "1", "/b.js"), Ok(None));
    }

    fn content(conn: &Connection, id: i64) -> Value {
        let sql = "SELECT map_content FROM source_maps WHERE id = ?1";
        let text: String = conn.query_row(sql, [id], |row| row.get(0)).expect("a map");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn the_view_has_the_map_without_the_sources() {
        let conn = database();
        let mut plain = map("naïve");
        plain["sourceRoot"] = json!("/root");
        let large: Vec<_> = (0..30_000).map(|n| format!("name {n}")).collect();
        let large = json!({"version": 3, "sources": [null], "names": large, "mappings": ""});
        let sections = json!({"version": 3, "sections": [
            {"offset": {"line": 0, "column": 0}, "map": plain},
            {"offset": {"line": 3, "column": 4}, "map": large},
        ]});
        for mut map in [plain, large, sections, json!({"version": 3, "sections": []})] {
            let id = replace(&conn, NOW, &new("/a.js", &map)).expect("stored");
            if let Some(object) = map.as_object_mut() {
                object.remove("sourcesContent");
            }
            if let Some(first) = map.pointer_mut("/sections/0/map").and_then(Value::as_object_mut) {
                first.remove("sourcesContent");
            }
            assert_eq!(content(&conn, id), map);
        }
    }

    #[test]
    fn text_is_read_across_rows() {
        let conn = database();
        let names: Vec<_> = (0..30_000).map(|n| format!("name {n}")).collect();
        let map = json!({"version": 3, "sources": [], "names": names, "mappings": "AAAA"});
        let id = replace(&conn, NOW, &new("/a.js", &map)).expect("stored");
        let sheet = pieces::sheet(&conn, id, 7, 7).expect("a query").expect("a sheet");
        let all = pieces::text(&conn, &sheet, 0..10_000_000).expect("the text");
        assert_eq!(serde_json::from_slice::<Value>(&all).expect("JSON"), map);
        for at in [0, TEXT_BYTES - 50, TEXT_BYTES, 3 * TEXT_BYTES - 1, all.len() - 10] {
            let end = (at + 100).min(all.len());
            assert_eq!(pieces::text(&conn, &sheet, at..at + 100).expect("a piece"), &all[at..end]);
        }
        assert!(pieces::text(&conn, &sheet, all.len() + 1..all.len() + TEXT_BYTES).expect("nothing").is_empty());
    }

    #[test]
    fn a_text_that_fills_its_rows_exactly() {
        let conn = database();
        let map = |mappings: usize| json!({"version": 3, "sources": [], "names": [], "mappings": ";".repeat(mappings)});
        let frame = map(0).to_string().len();
        for length in [TEXT_BYTES - 1, TEXT_BYTES, TEXT_BYTES + 1, 2 * TEXT_BYTES] {
            let map = map(length - frame);
            let id = replace(&conn, NOW, &new("/a.js", &map)).expect("stored");
            assert_eq!(content(&conn, id), map);
        }
    }

    /// A database of the original with these maps.
    fn original(maps: &[(&str, &str)]) -> Connection {
        let conn = Connection::open_in_memory().expect("a database");
        original_database(&conn, |conn| {
            for (file_url, content) in maps {
                conn.execute(INSERT_ORIGINAL_MAP, [file_url, content]).expect("stored");
            }
        });
        conn
    }

    #[test]
    fn maps_of_the_original_are_read_one_by_one() {
        let good = map("x").to_string();
        let conn = original(&[("https://ex.com/a.js", &good), ("/b.js", "{\"version\":3}")]);
        let unread = next_unread(&conn).expect("a query").expect("a map");
        assert_eq!((unread.id, unread.text.as_slice()), (1, good.as_bytes()));
        assert_eq!(content(&conn, 1), map("x"));
        store_read(&conn, &unread, &SourceMap::parse(unread.text.clone()).expect("a map")).expect("stored");
        assert_eq!(pieces::find(&conn, "web", "1", "/a.js"), Ok(Some(1)));
        assert_eq!(content(&conn, 1)["names"], json!(["x"]));
        assert_eq!(next_unread(&conn).expect("a query").map(|unread| unread.id), Some(2));
        store_problem(&conn, 2, "sources: missing").expect("stored");
        assert!(next_unread(&conn).expect("a query").is_none());
        let rows = list(&conn, None, 0, 9).expect("maps");
        assert_eq!((rows[0].problem.as_deref(), rows[1].problem.as_deref()), (None, Some("sources: missing")));
        assert_eq!(content(&conn, 2), json!({"version": 3}));
        assert!(rows[1].uploaded_at.ends_with('Z'), "{}", rows[1].uploaded_at);
        // Replacing it helps.
        assert_eq!(replace(&conn, NOW, &new("/b.js", &map("y"))), Ok(3));
    }

    #[test]
    fn what_was_deleted_meanwhile_is_not_stored() {
        let conn = original(&[("/a.js", &map("x").to_string())]);
        let unread = next_unread(&conn).expect("a query").expect("a map");
        delete(&conn, unread.id).expect("deleted");
        store_read(&conn, &unread, &SourceMap::parse(unread.text.clone()).expect("a map")).expect("nothing");
        assert_eq!(rows(&conn), [0, 0, 0, 0]);
    }
}
