//! Compares what we say about places in scripts with what the `source-map` package says. The scripts and their maps are made
//! by `tests/maps/oracle.js`: by real tools over real packages, and some that no tool makes.

use std::fs;
use std::path::Path;
use std::process::Command;

use common::clock::Timestamp;
use common::testing::{TempDir, skip};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;

use crate::resolve::{Answer, resolve_position, resolve_stack};
use crate::sourcemap::arriving::NewMap;
use crate::stack::{FRAMES_MAX, Place};
use crate::store;

/// A place, and what the package says of it.
#[derive(Deserialize)]
struct Asked {
    line: u32,
    column: u32,
    original: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    source: String,
    line: u32,
    column: u32,
    name: Option<String>,
    /// The line of the source, of some places.
    text: Option<String>,
}

impl Asked {
    fn frame(&self) -> String {
        format!("f@https://ex.com/a.js:{}:{}", self.line, self.column)
    }

    fn expected_frame(&self) -> String {
        match &self.original {
            None => self.frame(),
            Some(Expected { source, line, column, name, .. }) => {
                format!("{}@{source}:{line}:{column}", name.as_deref().unwrap_or("f"))
            }
        }
    }
}

#[test]
fn every_frame_is_what_the_source_map_package_says() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/maps");
    if !scripts.join("node_modules/source-map").exists() {
        return skip("nothing to compare source maps with: run make setup-test");
    }
    let folder = TempDir::new();
    let status = Command::new("node").arg(scripts.join("oracle.js")).arg(folder.path()).status().expect("node");
    assert!(status.success(), "oracle.js: {status}");
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    assert_eq!(names.len(), 14, "{names:?}");
    for name in names {
        compare(folder.path(), &name);
    }
}

fn compare(folder: &Path, name: &str) {
    let read = |end: &str| fs::read_to_string(folder.join(format!("{name}.{end}"))).expect("a file of oracle.js");
    let asked: Vec<Asked> = serde_json::from_str(&read("json")).expect("JSON");
    let found = asked.iter().filter(|asked| asked.original.is_some()).count();
    assert!(found > 100, "{name}: only {found} places of {} come from somewhere", asked.len());
    let conn = store::testing::database();
    let body = json!({"project": "web", "release": "1", "file_url": "/a.js", "map_content": read("map")});
    let new = NewMap::parse(body.to_string().into_bytes()).unwrap_or_else(|invalid| panic!("{name}: {invalid:?}"));
    store::maps::replace(&conn, Timestamp::from_millis(0), &new).expect("stored");
    for asked in asked.chunks(FRAMES_MAX) {
        let stack = asked.iter().map(Asked::frame).collect::<Vec<_>>().join("\n");
        let readable = resolve_stack(&conn, "web", "1", &stack).expect("a query");
        for (frame, asked) in readable.stack.lines().zip(asked) {
            assert_eq!(frame, asked.expected_frame(), "{name}: {}", asked.frame());
        }
    }
    let texts = asked.iter().filter(|asked| check_text(&conn, asked)).count();
    assert!(texts > 0 || !read("map").contains("sourcesContent"), "{name}: no source is there");
}

/// Whether there was something to compare.
fn check_text(conn: &Connection, asked: &Asked) -> bool {
    let Some(text) = asked.original.as_ref().and_then(|original| original.text.as_deref()) else { return false };
    let place = Place { url: "/a.js", line: asked.line, column: asked.column };
    let Answer::Found(found) = resolve_position(conn, "web", "1", &place).expect("a query") else {
        panic!("{}: not found", asked.frame())
    };
    let excerpt = found.excerpt.unwrap_or_else(|| panic!("{}: no text", asked.frame()));
    let line = &excerpt.lines[(found.line - excerpt.first_line) as usize];
    assert!(
        text.contains(line.as_str()) && (text.len() > 200 || line == text),
        "{}: {line}, not {text}",
        asked.frame()
    );
    true
}
