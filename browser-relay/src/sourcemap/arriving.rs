//! The body of an upload. The map in it is a JSON text in a JSON string: it is decoded within the body's own memory.

use common::json::{Invalid, Object};
use serde_json::value::RawValue;

use super::json;
use super::parse::SourceMap;

const PROJECT_BYTES_MAX: usize = 100;
const RELEASE_BYTES_MAX: usize = 100;
const FILE_URL_BYTES_MAX: usize = 500;

/// A map that can be stored, and what for.
pub(crate) struct NewMap {
    pub(crate) project: String,
    pub(crate) release: String,
    /// As it was given.
    pub(crate) file_url: String,
    pub(crate) map: SourceMap,
}

impl NewMap {
    /// Reads a request body, and takes it because its memory is used again.
    pub(crate) fn parse(mut body: Vec<u8>) -> Result<Self, Invalid> {
        if body.is_empty() {
            return Err(Invalid::new("Empty request body"));
        }
        let object = Object::parse(&body)?;
        let project = text(&object, "project", PROJECT_BYTES_MAX)?;
        let release = text(&object, "release", RELEASE_BYTES_MAX)?;
        let file_url = text(&object, "file_url", FILE_URL_BYTES_MAX)?;
        let content = object.raw("map_content").map(RawValue::get).filter(|raw| raw.starts_with('"'));
        let content = content.ok_or_else(|| Invalid::new("Missing required field: map_content"))?;
        let start = content.as_ptr().addr() - body.as_ptr().addr();
        let inside = start + 1..start + content.len() - 1;
        let length = json::unescape(&mut body, inside, 0);
        body.truncate(length);
        // Escapes were up to half of it.
        body.shrink_to_fit();
        Ok(Self { project, release, file_url, map: SourceMap::parse(body)? })
    }

    /// What it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.map.bytes() + self.project.len() + self.release.len() + self.file_url.len()
    }
}

fn text(object: &Object<'_>, name: &str, bytes_max: usize) -> Result<String, Invalid> {
    let text = object.required_text(name)?;
    if !(1..=bytes_max).contains(&text.len()) {
        return Err(Invalid::new(format!("Field '{name}' must be 1-{bytes_max} characters")));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sourcemap::parse::MAP_BYTES_MAX;

    fn parse(body: &Value) -> Result<NewMap, Invalid> {
        NewMap::parse(body.to_string().into_bytes())
    }

    fn upload(map: &Value) -> Value {
        json!({"project": "web", "release": "1.0", "file_url": "/app.js", "map_content": map.to_string()})
    }

    fn map() -> Value {
        json!({"version": 3, "sources": ["src/ä\".ts"], "names": ["a\u{1F600}"], "mappings": "AAAAA;;AAAA"})
    }

    #[track_caller]
    fn refused(body: &Value, detail: &str, reason: &str) {
        let invalid = parse(body).err().expect("a refusal");
        let found = invalid.reason.unwrap_or_default();
        assert!(invalid.detail == detail && found.contains(reason), "{}: {found}", invalid.detail);
    }

    #[test]
    fn a_map_is_decoded_in_place() {
        let new = parse(&upload(&map())).expect("an upload");
        assert_eq!((new.project.as_str(), new.release.as_str(), new.file_url.as_str()), ("web", "1.0", "/app.js"));
        let stored = new.map.pieces(&new.map.sheets[0]).concat();
        let stored: Value =
            serde_json::from_str(&format!("{}\"}}", str::from_utf8(&stored).expect("text"))).expect("JSON");
        assert_eq!(stored, map());
    }

    #[test]
    fn fields_are_checked_in_order() {
        let with = |name: &str, value: Value| {
            let mut body = upload(&map());
            body[name] = value;
            body
        };
        for name in ["project", "release", "file_url", "map_content"] {
            refused(&with(name, json!(null)), &format!("Missing required field: {name}"), "");
            refused(&with(name, json!({})), &format!("Missing required field: {name}"), "");
        }
        refused(&with("project", json!("")), "Field 'project' must be 1-100 characters", "");
        refused(&with("release", json!("x".repeat(101))), "Field 'release' must be 1-100 characters", "");
        refused(&with("file_url", json!("x".repeat(501))), "Field 'file_url' must be 1-500 characters", "");
        refused(&with("map_content", json!("")), "Invalid source map format", "empty");
        refused(&json!([]), "Request body must be a JSON object", "");
        assert_eq!(NewMap::parse(Vec::new()).err(), Some(Invalid::new("Empty request body")));
        assert!(parse(&with("file_url", json!("x".repeat(500)))).is_ok());
    }

    #[test]
    fn what_is_no_map_is_refused_with_a_reason() {
        let refused = |map: &Value, reason: &str| refused(&upload(map), "Invalid source map format", reason);
        let with = |name: &str, value: Value| {
            let mut map = map();
            map[name] = value;
            map
        };
        refused(&json!([]), "expected a JSON object");
        refused(&json!(3), "expected a JSON object");
        refused(&with("version", json!(2)), "version: expected 3, got 2");
        refused(&with("version", json!("3")), "version: expected 3, got \"3\"");
        refused(&with("version", json!(null)), "version: missing");
        refused(&with("sources", json!(null)), "sources: missing");
        refused(&with("sources", json!({})), "sources: expected an array");
        refused(&with("sources", json!([1])), "sources: expected strings, entry 0");
        refused(&with("names", json!(["a", null])), "names: expected strings, entry 1");
        refused(&with("names", json!("a")), "names: expected an array");
        refused(&with("sourceRoot", json!(1)), "sourceRoot: expected a string");
        refused(&with("sourcesContent", json!("x")), "sourcesContent: expected an array");
        refused(&with("mappings", json!(1)), "mappings: expected a string");
        refused(&with("mappings", json!("AA")), "mappings: a segment ends within a number");
        refused(&with("mappings", json!("AAAD")), "mappings: a number is out of range at byte 4");
        refused(&with("mappings", json!("AAAA,é")), "mappings: not a Base64 digit at byte 5");
        let nested = format!("{{\"version\":3,\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let body = json!({"project": "p", "release": "r", "file_url": "f", "map_content": nested});
        super::tests::refused(&body, "Invalid source map format", "nested deeper");
        let long = format!("{}{}", map(), " ".repeat(MAP_BYTES_MAX));
        let body = json!({"project": "p", "release": "r", "file_url": "f", "map_content": long});
        super::tests::refused(&body, "Invalid source map format", "expected at most 5242880 bytes");
        let body = json!({"project": "p", "release": "r", "file_url": "f", "map_content": "{\"version\":3"});
        super::tests::refused(&body, "Invalid source map format", "EOF");
    }

    #[test]
    fn index_maps() {
        let at =
            |line: Value, column: Value, map: Value| json!({"offset": {"line": line, "column": column}, "map": map});
        let sections = |sections: Value| upload(&json!({"version": 3, "sections": sections}));
        let refused = |list: Value, reason: &str| refused(&sections(list), "Invalid source map format", reason);
        let good =
            parse(&sections(json!([at(json!(0), json!(0), map()), at(json!(5), json!(2), map())]))).expect("a map");
        assert_eq!(
            good.map.sheets.iter().map(|sheet| (sheet.line, sheet.column)).collect::<Vec<_>>(),
            [(0, 0), (5, 2)]
        );
        refused(json!({}), "sections: expected an array");
        refused(json!([1]), "section 0: expected a JSON object");
        refused(json!([{"map": map()}]), "section 0: offset: missing");
        refused(json!([at(json!(-1), json!(0), map())]), "section 0: offset: expected line and column");
        refused(json!([at(json!(0), json!(4_000_000_000_u32), map())]), "section 0: offset: expected line and column");
        refused(json!([{"offset": {"line": 0, "column": 0}, "url": "x.map"}]), "section 0: map: missing");
        let nested = json!({"version": 3, "sections": []});
        refused(json!([at(json!(0), json!(0), nested)]), "section 0: sections within sections");
        let before = json!([at(json!(5), json!(2), map()), at(json!(5), json!(1), map())]);
        refused(before, "section 1: it begins before");
        let many = vec![at(json!(0), json!(0), json!({"version": 3, "sources": [], "mappings": ""})); 10_001];
        refused(json!(many), "sections: expected at most 10000");
    }

    #[test]
    fn a_guard_against_scripts_is_skipped() {
        for guard in ["\u{feff}", ")]}'\n", ")]}',x\r\n", "\u{feff})]}'\n"] {
            let mut body = upload(&map());
            body["map_content"] = json!(format!("{guard}{}", map()));
            assert!(parse(&body).is_ok(), "{guard:?}");
        }
    }
}
