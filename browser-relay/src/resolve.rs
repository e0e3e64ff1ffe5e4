//! Makes stacks readable with the source maps in the database. What a stack costs is bounded: by its frames, and by what is
//! read for one of them.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sourcemap::contents::{Excerpt, lines_around};
use crate::sourcemap::index::EntryPlace;
use crate::sourcemap::lookup::{self, function_name, source_name};
use crate::stack::{self, Original, Place};
use crate::store::pieces::{self, StoredSheet};

/// Frames of a stack whose source is sent along, from the top.
const EXCERPTS_MAX: usize = 5;
/// Sheets kept while a stack is read: frames of one script come one after the other. Each holds up to some 50 KB.
const SHEETS_KEPT: usize = 2;

/// A stack as far as it could be made readable.
#[derive(Debug)]
pub(crate) struct Readable {
    pub(crate) stack: String,
    /// A JSON array of [`Found`], for the frames whose maps know their sources; none where there are none.
    pub(crate) sources: Option<Box<RawValue>>,
}

/// Where a place comes from.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) source: String,
    /// These count from 1.
    pub(crate) line: u32,
    pub(crate) column: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) excerpt: Option<Excerpt>,
}

/// What is known of a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is no map of its script.
    NoMap,
    /// Its map says that it comes from no source.
    NoMapping,
    Found(Found),
}

/// Looks up one place.
pub(crate) fn resolve_position(
    conn: &Connection,
    project: &str,
    release: &str,
    place: &Place<'_>,
) -> rusqlite::Result<Answer> {
    // One state of the database, whatever is replaced meanwhile.
    let snapshot = conn.unchecked_transaction()?;
    let mut maps = Maps::new(&snapshot, project, release);
    if maps.find(place.url)?.is_none() {
        return Ok(Answer::NoMap);
    }
    let Some(spot) = maps.spot(place)? else { return Ok(Answer::NoMapping) };
    Ok(Answer::Found(maps.found(&spot)?))
}

/// Rewrites the frames of a stack. An error is the database's, and no reason to lose the stack.
pub(crate) fn resolve_stack(
    conn: &Connection,
    project: &str,
    release: &str,
    stack: &str,
) -> rusqlite::Result<Readable> {
    let snapshot = conn.unchecked_transaction()?;
    let mut maps = Maps::new(&snapshot, project, release);
    let mut sources: Vec<Found> = Vec::new();
    let stack = stack::rewrite(stack, |place| -> rusqlite::Result<_> {
        let Some(spot) = maps.spot(place)? else { return Ok(None) };
        let is_new = sources.iter().all(|found| !found.is_at(&spot.original));
        if sources.len() < EXCERPTS_MAX && is_new {
            let found = maps.found(&spot)?;
            sources.extend(found.excerpt.is_some().then_some(found));
        }
        Ok(Some(spot.original))
    })?;
    let sources = (!sources.is_empty()).then(|| serde_json::value::to_raw_value(&sources).ok()).flatten();
    Ok(Readable { stack, sources })
}

impl Found {
    fn is_at(&self, original: &Original) -> bool {
        (self.line, self.column, &self.source) == (original.line, original.column, &original.source)
    }
}

/// Where a place comes from, and where its source is stored.
#[derive(Clone)]
struct Spot {
    original: Original,
    sheet: i64,
    source: u32,
}

/// What was looked up for one stack.
struct Maps<'c> {
    conn: &'c Connection,
    project: &'c str,
    release: &'c str,
    by_url: HashMap<String, Option<i64>>,
    /// Of which map, and the one used last at the end.
    sheets: Vec<(i64, StoredSheet)>,
    /// By map, line and column: the frames of a recursion are the same over and over.
    spots: HashMap<(i64, u32, u32), Option<Spot>>,
}

impl<'c> Maps<'c> {
    fn new(conn: &'c Connection, project: &'c str, release: &'c str) -> Self {
        Self { conn, project, release, by_url: HashMap::new(), sheets: Vec::new(), spots: HashMap::new() }
    }

    fn find(&mut self, url: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(map) = self.by_url.get(url) {
            return Ok(*map);
        }
        let map = pieces::find(self.conn, self.project, self.release, url)?;
        self.by_url.insert(url.to_owned(), map);
        Ok(map)
    }

    fn spot(&mut self, place: &Place<'_>) -> rusqlite::Result<Option<Spot>> {
        let Some(map) = self.find(place.url)? else { return Ok(None) };
        let key = (map, place.line, place.column);
        if let Some(spot) = self.spots.get(&key) {
            return Ok(spot.clone());
        }
        let (Some(line), Some(column)) = (place.line.checked_sub(1), place.column.checked_sub(1)) else {
            return Ok(None);
        };
        let spot = self.look_up(map, line, column)?;
        self.spots.insert(key, spot.clone());
        Ok(spot)
    }

    /// Line and column count from 0.
    fn look_up(&mut self, map: i64, line: u32, column: u32) -> rusqlite::Result<Option<Spot>> {
        let conn = self.conn;
        let Some(sheet) = self.sheet(map, line, column)? else { return Ok(None) };
        let column = if line == sheet.line { column - sheet.column } else { column };
        let line = line - sheet.line;
        let Some((range, state)) = sheet.index.stretch(line, column) else { return Ok(None) };
        let stretch = pieces::text(conn, sheet, range)?;
        let Some(original) = lookup::find(&stretch, state, line, column) else { return Ok(None) };
        let entry = |place: Option<EntryPlace>| match place {
            Some(place) => pieces::text(conn, sheet, place.text.clone()).map(|text| place.read(text)),
            None => Ok(None),
        };
        let source = entry(sheet.index.sources.find(original.source))?;
        let Some(source) = source.filter(|source| !source.is_empty()) else { return Ok(None) };
        let name = original.name.and_then(|name| sheet.index.names.find(name));
        let name = if name.is_some() { entry(name)? } else { None };
        let original_place = Original {
            source: source_name(&sheet.index.source_root, &source),
            line: original.line + 1,
            column: original.column + 1,
            name: name.map(|name| function_name(&name)),
        };
        Ok(Some(Spot { original: original_place, sheet: sheet.id, source: original.source }))
    }

    fn sheet(&mut self, map: i64, line: u32, column: u32) -> rusqlite::Result<Option<&StoredSheet>> {
        // Of an index map the sheets are many and small: which one it is, the database knows.
        // An only one need not begin where the script does.
        let has = |sheet: &StoredSheet| sheet.is_only && (sheet.line, sheet.column) <= (line, column);
        let kept = self.sheets.iter().position(|(of, sheet)| *of == map && has(sheet));
        if let Some(kept) = kept {
            let sheet = self.sheets.remove(kept);
            self.sheets.push(sheet);
        } else {
            let Some(sheet) = pieces::sheet(self.conn, map, line, column)? else { return Ok(None) };
            if self.sheets.len() == SHEETS_KEPT {
                self.sheets.remove(0);
            }
            self.sheets.push((map, sheet));
        }
        Ok(self.sheets.last().map(|(_, sheet)| sheet))
    }

    fn found(&self, spot: &Spot) -> rusqlite::Result<Found> {
        let Original { source, line, column, name } = spot.original.clone();
        let parts = pieces::contents(self.conn, spot.sheet, spot.source, lines_around(line - 1))?;
        Ok(Found { source, line, column, name, excerpt: Excerpt::new(parts, line - 1, column - 1) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use common::clock::Timestamp;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::sourcemap::arriving::NewMap;
    use crate::sourcemap::parse::SourceMap;
    use crate::store;
    use crate::store::testing::database;

    fn store(conn: &Connection, file_url: &str, map: &Value) {
        let body = json!({"project": "web", "release": "1", "file_url": file_url, "map_content": map.to_string()});
        let new = NewMap::parse(body.to_string().into_bytes()).expect("an upload");
        store::maps::replace(conn, Timestamp::from_millis(0), &new).expect("stored");
    }

    fn answer(conn: &Connection, url: &str, line: u32, column: u32) -> Answer {
        resolve_position(conn, "web", "1", &Place { url, line, column }).expect("a query")
    }

    fn place(conn: &Connection, url: &str, line: u32, column: u32) -> Option<String> {
        match answer(conn, url, line, column) {
            Answer::Found(Found { source, line, column, name, .. }) => {
                Some(format!("{} {source}:{line}:{column}", name.unwrap_or_default()))
            }
            _ => None,
        }
    }

    #[test]
    fn what_is_before_the_only_section_comes_from_nowhere() {
        let conn = database();
        let section = json!({"version": 3, "sources": ["a"], "names": [], "mappings": "AAAA;A"});
        let map = json!({"version": 3, "sections": [{"offset": {"line": 0, "column": 2}, "map": section}]});
        store(&conn, "/a.js", &map);
        let stack = resolve_stack(&conn, "web", "1", "f@/a.js:1:3\ng@/a.js:1:1").expect("a query").stack;
        assert_eq!(stack, "f@a:1:1\ng@/a.js:1:1");
    }

    #[test]
    fn places_are_found_with_their_sources() {
        let conn = database();
        // 1:11 is origFn at 10:5, 1:21 has no name, 1:31 comes from nowhere, 2:1 is in a source without a name.
        let map = json!({
            "version": 3, "sourceRoot": "src", "sources": ["./app.ts", null], "names": ["origFn"],
            "sourcesContent": ["1\n2\n3\n4\n5\n6\n7\n8\n9\nthrow new Error()\n11\n"],
            "mappings": "UASIA,UACA,U;ACAA"
        });
        store(&conn, "/static/app.min.js", &map);
        let url = "https://ex.com/static/app.min.js";
        let excerpt =
            Excerpt { first_line: 7, lines: ["7", "8", "9", "throw new Error()", "11"].map(String::from).to_vec() };
        let name = Some("origFn".to_owned());
        let found = Found { source: "src/app.ts".into(), line: 10, column: 5, name, excerpt: Some(excerpt) };
        assert_eq!(answer(&conn, url, 1, 11), Answer::Found(found));
        assert_eq!(place(&conn, url, 1, 22).as_deref(), Some(" src/app.ts:11:5"));
        for (line, column) in [(1, 10), (1, 31), (2, 1), (3, 1), (0, 1), (1, 0), (u32::MAX, u32::MAX)] {
            assert_eq!(answer(&conn, url, line, column), Answer::NoMapping, "{line}:{column}");
        }
        assert_eq!(answer(&conn, "app.min.js", 1, 11), Answer::NoMap);
        let stack = "Error: a\n    at a (https://ex.com/static/app.min.js:1:11)\n    at a (https://ex.com/static/app.min.js:1:11)";
        let readable = resolve_stack(&conn, "web", "1", stack).expect("a query");
        assert_eq!(readable.stack, "Error: a\n    at origFn (src/app.ts:10:5)\n    at origFn (src/app.ts:10:5)");
        let sources: Value = serde_json::from_str(readable.sources.expect("sources").get()).expect("JSON");
        let expected = json!([{
            "source": "src/app.ts", "line": 10, "column": 5, "name": "origFn",
            "first_line": 7, "lines": ["7", "8", "9", "throw new Error()", "11"]
        }]);
        assert_eq!(sources, expected);
        let other = resolve_stack(&conn, "web", "2", stack).expect("a query");
        assert!(other.stack == stack && other.sources.is_none());
    }

    #[test]
    fn numbers_beyond_the_lists_are_no_mapping_and_no_name() {
        let conn = database();
        store(&conn, "/a.js", &json!({"version": 3, "sources": ["a"], "names": [], "mappings": "AAAAK,CCAA"}));
        assert_eq!(place(&conn, "/a.js", 1, 1).as_deref(), Some(" a:1:1"));
        assert_eq!(answer(&conn, "/a.js", 1, 2), Answer::NoMapping);
    }

    #[test]
    fn each_section_has_its_own_sources_and_places() {
        let conn = database();
        let map =
            |name: &str| json!({"version": 3, "sources": [format!("{name}.ts")], "names": [], "mappings": "EAAA;AACA"});
        let section = |line, column, name| json!({"offset": {"line": line, "column": column}, "map": map(name)});
        let sections = [section(0, 10, "a"), section(0, 20, "b"), section(5, 3, "c")];
        store(&conn, "/a.js", &json!({"version": 3, "sections": sections}));
        for (line, column, expected) in [
            (1, 1, None),
            (1, 12, None),
            (1, 13, Some(" a.ts:1:1")),
            (1, 20, Some(" a.ts:1:1")),
            (1, 21, None),
            (1, 23, Some(" b.ts:1:1")),
            (2, 1, Some(" b.ts:2:1")),
            (6, 3, None),
            (6, 6, Some(" c.ts:1:1")),
            (7, 1, Some(" c.ts:2:1")),
            (8, 1, None),
        ] {
            assert_eq!(place(&conn, "/a.js", line, column).as_deref(), expected, "{line}:{column}");
        }
    }

    proptest! {
        #[test]
        fn a_map_with_bytes_changed_is_refused_or_looked_up(
            changes in proptest::collection::vec((0..10_000_usize, any::<prop::sample::Index>()), 1..4),
            places in proptest::collection::vec((1..5_u32, 1..900_u32), 1..20),
        ) {
            const BYTES: &[u8] = b"\0\n\"\\,;:[]{}0A/+gzu9-. x\xc3";
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
            let mut text = fs::read(folder.join("app.min.js.map")).expect("the map");
            for (at, byte) in changes {
                let at = at % text.len();
                text[at] = BYTES[byte.index(BYTES.len())];
            }
            let Ok(map) = SourceMap::parse(text) else { return Ok(()) };
            let conn = database();
            let new = NewMap { project: "web".into(), release: "1".into(), file_url: "/a.js".into(), map };
            store::maps::replace(&conn, Timestamp::from_millis(0), &new).expect("stored");
            let stack = places.iter().map(|(line, column)| format!("@/a.js:{line}:{column}\n")).collect::<Vec<_>>().concat();
            let readable = resolve_stack(&conn, "web", "1", &stack).expect("a query");
            prop_assert_eq!(readable.stack.lines().count(), places.len());
        }
    }

    #[test]
    fn golden_stacks() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let conn = database();
        let map: Value = serde_json::from_str(&read("app.min.js.map")).expect("JSON");
        store(&conn, "https://shop.example/static/app.min.js", &map);
        for browser in ["chrome", "firefox", "safari"] {
            let readable = resolve_stack(&conn, "web", "1", &read(&format!("{browser}.stack"))).expect("a query");
            let sources: Option<Value> = readable.sources.map(|raw| serde_json::from_str(raw.get()).expect("JSON"));
            let sources = serde_json::to_string_pretty(&sources).expect("JSON") + "\n";
            for (end, text) in [("readable", readable.stack), ("sources.json", sources)] {
                let name = format!("{browser}.{end}");
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    fs::write(folder.join(&name), &text).expect("written");
                }
                assert_eq!(text, read(&name), "{name}");
            }
        }
    }
}
