//! Reads a source map once: what is wrong with it, and where its parts are. The text is decoded where it stands.

use std::ops::Range;

use common::json::{Invalid, Object};
use nanoserde::SerBin as _;
use serde_json::value::RawValue;

use super::contents::{Contents, Packer};
use super::index::{Entries, Index, checkpoints};
use super::{invalid, json};

/// The largest map.
pub(crate) const MAP_BYTES_MAX: usize = 5 << 20;
/// Sections of an index map: bundlers that make one of each module have thousands.
const SECTIONS_MAX: usize = 10_000;
/// What is read of `sourceRoot`.
const SOURCE_ROOT_BYTES_MAX: usize = 500;
/// The only version there is (1 and 2 were never in use).
const VERSION: &str = "3";

/// A map that can be stored.
pub(crate) struct SourceMap {
    text: Vec<u8>,
    pub(crate) sheets: Vec<Sheet>,
    pub(crate) contents: Contents,
}

/// A map without sections, or one section of an index map.
pub(crate) struct Sheet {
    /// Where it begins in the generated code, counted from 0.
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// An [`Index`], serialised.
    pub(crate) index: Vec<u8>,
    layout: Layout,
}

/// Where the parts of a sheet are in the text; what is not there is empty.
#[derive(Default)]
struct Layout {
    line: u32,
    column: u32,
    source_root: Range<usize>,
    sources: Range<usize>,
    names: Range<usize>,
    /// Its inside, without quotes.
    mappings: Range<usize>,
    contents: Range<usize>,
}

impl SourceMap {
    /// Reads the text of a map. Fails with `Invalid source map format` and a reason.
    pub(crate) fn parse(mut text: Vec<u8>) -> Result<Self, Invalid> {
        if text.len() > MAP_BYTES_MAX {
            return Err(invalid(format_args!("expected at most {MAP_BYTES_MAX} bytes, got {}", text.len())));
        }
        let layouts = layouts(&text)?;
        let mut sheets = Vec::with_capacity(layouts.len());
        let mut packer = Packer::new();
        for (number, mut layout) in layouts.into_iter().enumerate() {
            let start = layout.mappings.start;
            let length = json::unescape(&mut text, layout.mappings.clone(), start);
            layout.mappings = start..start + length;
            let index = index(&text, &layout)?.serialize_bin();
            pack_contents(&mut text, layout.contents.clone(), number as u32, &mut packer);
            sheets.push(Sheet { line: layout.line, column: layout.column, index, layout });
        }
        Ok(Self { text, sheets, contents: packer.finish() })
    }

    /// What is stored of a sheet, a JSON object in pieces.
    pub(crate) fn pieces(&self, sheet: &Sheet) -> [&[u8]; 9] {
        pieces(&self.text, &sheet.layout)
    }

    /// What it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.contents.bytes()
    }
}

fn pieces<'t>(text: &'t [u8], layout: &Layout) -> [&'t [u8]; 9] {
    let list = |range: &Range<usize>| if range.is_empty() { b"[]" } else { &text[range.clone()] };
    let root = &text[layout.source_root.clone()];
    [
        br#"{"version":3"#,
        if root.is_empty() { b"" } else { br#","sourceRoot":"# },
        root,
        br#","sources":"#,
        list(&layout.sources),
        br#","names":"#,
        list(&layout.names),
        br#","mappings":""#,
        &text[layout.mappings.clone()],
    ]
}

/// Behind the last piece.
pub(crate) const PIECES_END: &[u8] = br#""}"#;

fn index(text: &[u8], layout: &Layout) -> Result<Index, Invalid> {
    let pieces = pieces(text, layout);
    let at = |piece: usize| pieces[..piece].iter().map(|piece| piece.len()).sum::<usize>();
    Ok(Index {
        source_root: source_root(text, layout),
        mappings_at: at(8) as u32,
        mappings_bytes: pieces[8].len() as u32,
        checkpoints: checkpoints(pieces[8])?,
        sources: Entries::read(pieces[4], at(4), "sources", true)?,
        names: Entries::read(pieces[6], at(6), "names", false)?,
    })
}

fn source_root(text: &[u8], layout: &Layout) -> String {
    let mut root: String = serde_json::from_slice(&text[layout.source_root.clone()]).unwrap_or_default();
    root.truncate(root.floor_char_boundary(SOURCE_ROOT_BYTES_MAX));
    root
}

/// Decodes and packs the texts one after the other; the text of the map is spoiled there.
fn pack_contents(text: &mut [u8], list: Range<usize>, sheet: u32, packer: &mut Packer) {
    let list = &mut text[list];
    let (mut at, mut source) = (1, 0);
    while let Some(entry) = json::next_element(list, at) {
        at = entry.end;
        if list[entry.start] == b'"' {
            let length = json::unescape(list, entry.start + 1..entry.end - 1, entry.start);
            packer.add(sheet, source, &list[entry.start..entry.start + length]);
        }
        source += 1;
    }
}

/// A map's sheets: one, or as many as it has sections.
fn layouts(text: &[u8]) -> Result<Vec<Layout>, Invalid> {
    let start = behind_guard(text);
    let map = object(&text[start..])?;
    check_version(&map)?;
    let Some(sections) = map.raw("sections") else {
        return Ok(vec![layout(text, &map, 0, 0)?]);
    };
    let sections = span(text, sections);
    if text[sections.start] != b'[' {
        return Err(invalid("sections: expected an array"));
    }
    let mut layouts: Vec<Layout> = Vec::new();
    for (number, section) in json::elements(&text[sections.clone()]).enumerate() {
        if number == SECTIONS_MAX {
            return Err(invalid(format_args!("sections: expected at most {SECTIONS_MAX}")));
        }
        let section = &text[sections.start + section.start..sections.start + section.end];
        let layout = section_layout(text, section).map_err(|invalid| in_section(invalid, number))?;
        if layouts.last().is_some_and(|last| (last.line, last.column) > (layout.line, layout.column)) {
            return Err(in_section(invalid("it begins before the one in front of it"), number));
        }
        layouts.push(layout);
    }
    Ok(layouts)
}

fn section_layout(text: &[u8], section: &[u8]) -> Result<Layout, Invalid> {
    let section = object(section)?;
    let offset = section.raw("offset").ok_or_else(|| invalid("offset: missing"))?;
    let offset = object(offset.get().as_bytes())?;
    let number = |name: &str| {
        let number = offset.raw(name).and_then(|raw| raw.get().parse::<u32>().ok());
        number.filter(|number| i32::try_from(*number).is_ok())
    };
    let (Some(line), Some(column)) = (number("line"), number("column")) else {
        return Err(invalid("offset: expected line and column from 0"));
    };
    let Some(map) = section.raw("map") else {
        return Err(invalid("map: missing (a map elsewhere, by url, cannot be used)"));
    };
    let map = object(map.get().as_bytes())?;
    if map.raw("sections").is_some() {
        return Err(invalid("sections within sections"));
    }
    check_version(&map)?;
    layout(text, &map, line, column)
}

fn layout(text: &[u8], map: &Object<'_>, line: u32, column: u32) -> Result<Layout, Invalid> {
    let range = |name: &str, opens: u8, kind: &str| {
        let range = map.raw(name).map(|raw| span(text, raw));
        match range {
            Some(range) if text[range.start] != opens => Err(invalid(format_args!("{name}: expected {kind}"))),
            range => Ok(range),
        }
    };
    let required = |name: &str, range: Option<_>| range.ok_or_else(|| invalid(format_args!("{name}: missing")));
    let sources = required("sources", range("sources", b'[', "an array")?)?;
    let mappings = required("mappings", range("mappings", b'"', "a string")?)?;
    Ok(Layout {
        line,
        column,
        sources,
        mappings: mappings.start + 1..mappings.end - 1,
        names: range("names", b'[', "an array")?.unwrap_or_default(),
        contents: range("sourcesContent", b'[', "an array")?.unwrap_or_default(),
        source_root: range("sourceRoot", b'"', "a string")?.unwrap_or_default(),
    })
}

fn check_version(map: &Object<'_>) -> Result<(), Invalid> {
    match map.raw("version").map(RawValue::get) {
        Some(VERSION) => Ok(()),
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            Err(invalid(format_args!("version: expected {VERSION}, got {other}")))
        }
        None => Err(invalid("version: missing")),
    }
}

fn object(text: &[u8]) -> Result<Object<'_>, Invalid> {
    Object::parse(text).map_err(|problem| invalid(problem.reason.as_deref().unwrap_or("expected a JSON object")))
}

fn in_section(problem: Invalid, number: usize) -> Invalid {
    invalid(format_args!("section {number}: {}", problem.reason.unwrap_or_default()))
}

/// Where a value is in the text it was borrowed from.
fn span(text: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + raw.get().len()
}

/// Some servers put a first line `)]}'` before JSON, so that it is no script; the format allows for it.
fn behind_guard(text: &[u8]) -> usize {
    let start = if text.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    if !text[start..].starts_with(b")]}'") {
        return start;
    }
    text.iter().position(|byte| *byte == b'\n').unwrap_or(start)
}
