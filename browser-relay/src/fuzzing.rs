//! What `cargo fuzz` calls (`fuzz/`): bytes of strangers, all the way to an answer. Panics where a promise is broken.

use common::clock::Timestamp;
use rusqlite::Connection;

use crate::resolve::{resolve_position, resolve_stack};
use crate::sourcemap::arriving::NewMap;
use crate::sourcemap::parse::SourceMap;
use crate::stack::{self, Original, Place};
use crate::store;
use crate::translate::{BrowserError, Metrics};

const NOW: Timestamp = Timestamp::from_millis(1_768_900_000_000);

thread_local! {
    static DATABASE: Connection = common::testing::database::in_memory(store::MIGRATIONS);
}

/// A source map is refused, or stored and looked up.
pub fn source_map(bytes: &[u8]) {
    let Ok(map) = SourceMap::parse(bytes.to_vec()) else { return };
    let [project, release, file_url] = ["p", "1", "/a.js"].map(String::from);
    let new = NewMap { project, release, file_url, map };
    DATABASE.with(|conn| {
        store::maps::replace(conn, NOW, &new).expect("stored");
        for (line, column) in [(1, 1), (1, 40), (2, 7), (u32::MAX, u32::MAX)] {
            let place = Place { url: "/a.js", line, column };
            resolve_position(conn, "p", "1", &place).expect("looked up");
        }
        resolve_stack(conn, "p", "1", "E: m\n    at f (/a.js:1:3)\ng@/a.js:1:1").expect("rewritten");
    });
}

/// An upload as it comes in.
pub fn upload(bytes: &[u8]) {
    if let Ok(new) = NewMap::parse(bytes.to_vec()) {
        assert!(!new.project.is_empty() && !new.file_url.is_empty());
    }
}

/// A stack is left alone where nothing is known, and keeps its lines where something is.
pub fn stack(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let same = stack::rewrite(text, |_| Ok::<_, ()>(None)).expect("nothing fails");
    assert_eq!(same, text);
    let original = Original { source: "src/a.ts".into(), line: 3, column: 4, name: Some("f".into()) };
    let rewritten = stack::rewrite(text, |_| Ok::<_, ()>(Some(original.clone()))).expect("nothing fails");
    assert_eq!(rewritten.matches('\n').count(), text.matches('\n').count());
}

/// What pages send becomes what the back ends take, or is refused.
pub fn event(bytes: &[u8]) {
    if let Ok(error) = BrowserError::parse(bytes) {
        let report = error.report("p", &error.stack, None);
        serde_json::from_slice::<serde_json::Value>(&report).expect("a report");
    }
    if let Ok(metrics) = Metrics::parse(bytes, "p", Some(NOW)) {
        let items: Vec<serde_json::Value> = serde_json::from_slice(&metrics.body).expect("a batch");
        assert_eq!(items.len(), metrics.count);
    }
}
