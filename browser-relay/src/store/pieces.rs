//! What is read of stored source maps: one place at a time, in pieces of some kilobytes.

use std::ops::Range;

use common::query::percent_decode;
use nanoserde::DeBin as _;
use rusqlite::{Connection, MAIN_DB, OptionalExtension as _, params};

use crate::sourcemap::contents::StoredPart;
use crate::sourcemap::file_url::{path_of, without_query};
use crate::sourcemap::index::Index;

/// Bytes of one row of a sheet's text. A read touches at most two of them, and a piece is found by arithmetic; in a single
/// value it would be found by going through all pages before it. So it is within a row: with 64 KB a frame took 0.7 ms instead
/// of 0.4.
pub(super) const TEXT_BYTES: usize = 16 << 10;

/// A sheet that can be read.
pub(crate) struct StoredSheet {
    pub(crate) id: i64,
    pub(crate) line: u32,
    pub(crate) column: u32,
    first_text: i64,
    last_text: i64,
    /// Of its map.
    pub(crate) is_only: bool,
    pub(crate) index: Index,
}

/// The map of the script at this URL: one that was uploaded under the very URL, else under its path; else the same without
/// query and fragment, and then without percent-encoding, for maps uploaded under the names of files.
pub(crate) fn find(conn: &Connection, project: &str, release: &str, url: &str) -> rusqlite::Result<Option<i64>> {
    let path = path_of(url);
    let sql = "SELECT id FROM maps WHERE project = ?1 AND release = ?2 AND path = ?3
               ORDER BY file_url = ?4 DESC, id DESC LIMIT 1";
    let mut statement = conn.prepare_cached(sql)?;
    let decoded = percent_decode(without_query(path).unwrap_or(path), false).ok().filter(|decoded| decoded != path);
    for path in [Some(path), without_query(path), decoded.as_deref()].into_iter().flatten() {
        let id = statement.query_row([project, release, path, url], |row| row.get(0)).optional()?;
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}

/// The sheet of a map that has this place, which counts from 0.
pub(crate) fn sheet(conn: &Connection, map: i64, line: u32, column: u32) -> rusqlite::Result<Option<StoredSheet>> {
    let sql = "SELECT id, line, column, first_text, last_text, places,
                   NOT EXISTS (SELECT 1 FROM map_sheets AS other WHERE other.map = ?1 AND other.id <> map_sheets.id)
               FROM map_sheets WHERE map = ?1 AND (line, column) <= (?2, ?3) ORDER BY line DESC, column DESC, id DESC LIMIT 1";
    let sheet = conn.prepare_cached(sql)?.query_row(params![map, line, column], |row| {
        // It is what we wrote ourselves; were it not, the map would know no place.
        let index = Index::deserialize_bin(row.get_ref(5)?.as_blob()?).unwrap_or_default();
        Ok(StoredSheet {
            id: row.get(0)?,
            line: row.get(1)?,
            column: row.get(2)?,
            first_text: row.get(3)?,
            last_text: row.get(4)?,
            is_only: row.get(6)?,
            index,
        })
    });
    sheet.optional()
}

/// A piece of a sheet's text, shorter where the text ends.
pub(crate) fn text(conn: &Connection, sheet: &StoredSheet, range: Range<usize>) -> rusqlite::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(range.len());
    let mut at = range.start;
    while at < range.end {
        let row = sheet.first_text + (at / TEXT_BYTES) as i64;
        if row > sheet.last_text {
            break;
        }
        let blob = conn.blob_open(MAIN_DB, "map_texts", "text", row, true)?;
        let inside = at % TEXT_BYTES;
        let length = (range.end - at).min(blob.len().saturating_sub(inside));
        if length == 0 {
            break;
        }
        let had = text.len();
        text.resize(had + length, 0);
        blob.read_at_exact(&mut text[had..], inside)?;
        at += length;
    }
    Ok(text)
}

/// The parts of a source's text that have these lines, which count from 0.
pub(crate) fn contents(
    conn: &Connection,
    sheet: i64,
    source: u32,
    lines: Range<u32>,
) -> rusqlite::Result<Vec<StoredPart>> {
    let sql = "SELECT first_line, bytes, lines FROM map_contents
               WHERE sheet = ?1 AND source = ?2 AND first_line < ?3 ORDER BY first_line DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![sheet, source, lines.end])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let part = StoredPart { first_line: row.get(0)?, bytes: row.get::<_, u32>(1)? as usize, data: row.get(2)? };
        let is_first = part.first_line <= lines.start;
        parts.insert(0, part);
        if is_first {
            break;
        }
    }
    Ok(parts)
}
