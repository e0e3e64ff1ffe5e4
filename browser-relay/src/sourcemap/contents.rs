//! `sourcesContent`: kept compressed in parts of some 16 KB, so that the lines around a frame cost one part, whatever the
//! size of the file.

use std::ops::Range;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use memchr::memchr;
use serde::Serialize;

/// A part ends with the line that reaches this size.
const PART_BYTES: usize = 16 << 10;
/// What is kept of a line. A longer one was made by a program, and nobody reads it in an excerpt.
const LINE_BYTES_MAX: usize = 8 << 10;
/// The largest part.
const PART_BYTES_MAX: usize = PART_BYTES + LINE_BYTES_MAX;
/// Parts of one map; of larger maps the first ones are kept. 5 MB in files of a common size are some thousand.
const PARTS_MAX: usize = 20_000;
/// Below this size compression gains next to nothing, and takes 25 µs to begin with.
const COMPRESSED_FROM_BYTES: usize = 512;
/// Lines before and after that of a frame.
const LINES_AROUND: u32 = 3;
/// What is shown of a line.
const SHOWN_BYTES_MAX: usize = 200;

/// The texts of a map's sources.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) parts: Vec<Part>,
    /// Their data, one after the other.
    packed: Vec<u8>,
}

/// Whole lines of a source.
pub(crate) struct Part {
    /// The number of the sheet within the map, and of the source within the sheet.
    pub(crate) sheet: u32,
    pub(crate) source: u32,
    /// Counted from 0.
    pub(crate) first_line: u32,
    /// Their size; that of the data is smaller where they are compressed.
    pub(crate) bytes: u32,
    data: Range<usize>,
}

impl Contents {
    pub(crate) fn data(&self, part: &Part) -> &[u8] {
        &self.packed[part.data.clone()]
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.packed.capacity()
    }
}

/// Compresses texts.
pub(super) struct Packer {
    contents: Contents,
    /// Made when there is something to compress: it has some 300 KB.
    compress: Option<Box<Compress>>,
    lines: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> Self {
        Self { contents: Contents::default(), compress: None, lines: Vec::new() }
    }

    /// Adds the text of a source.
    pub(super) fn add(&mut self, sheet: u32, source: u32, mut text: &[u8]) {
        let (mut line, mut first_line) = (0, 0);
        while !text.is_empty() && self.contents.parts.len() < PARTS_MAX {
            let end = memchr(b'\n', text).unwrap_or(text.len());
            self.lines.extend_from_slice(&text[..end.min(LINE_BYTES_MAX - 1)]);
            self.lines.push(b'\n');
            text = text.get(end + 1..).unwrap_or_default();
            line += 1;
            if self.lines.len() >= PART_BYTES || text.is_empty() {
                self.pack(sheet, source, first_line);
                first_line = line;
            }
        }
    }

    pub(super) fn finish(self) -> Contents {
        self.contents
    }

    fn pack(&mut self, sheet: u32, source: u32, first_line: u32) {
        let packed = &mut self.contents.packed;
        let (start, bytes) = (packed.len(), self.lines.len());
        packed.resize(start + bytes, 0);
        let length = (bytes >= COMPRESSED_FROM_BYTES)
            .then(|| {
                let compress = self.compress.get_or_insert_with(|| Box::new(Compress::new(Compression::fast(), false)));
                compress.reset();
                let outcome = compress.compress(&self.lines, &mut packed[start..], FlushCompress::Finish);
                // What does not become smaller does not fit.
                matches!(outcome, Ok(Status::StreamEnd)).then(|| compress.total_out() as usize)
            })
            .flatten()
            .filter(|length| *length < bytes);
        if length.is_none() {
            packed[start..].copy_from_slice(&self.lines);
        }
        packed.truncate(start + length.unwrap_or(bytes));
        let data = start..packed.len();
        self.contents.parts.push(Part { sheet, source, first_line, bytes: bytes as u32, data });
        self.lines.clear();
    }
}

/// A part as it is stored.
pub(crate) struct StoredPart {
    pub(crate) first_line: u32,
    pub(crate) bytes: usize,
    pub(crate) data: Vec<u8>,
}

impl StoredPart {
    /// Its lines; none if that is not what is stored.
    fn unpack(self) -> Option<Vec<u8>> {
        if self.data.len() == self.bytes || self.bytes > PART_BYTES_MAX {
            return (self.data.len() == self.bytes).then_some(self.data);
        }
        let mut lines = Vec::with_capacity(self.bytes);
        let outcome = Decompress::new(false).decompress_vec(&self.data, &mut lines, FlushDecompress::Finish);
        matches!(outcome, Ok(Status::StreamEnd)).then_some(lines)
    }
}

/// A few lines of a source.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Counted from 1.
    pub(crate) first_line: u32,
    pub(crate) lines: Vec<String>,
}

/// The lines that an excerpt around this one has, all counted from 0.
pub(crate) const fn lines_around(line: u32) -> Range<u32> {
    line.saturating_sub(LINES_AROUND)..line.saturating_add(LINES_AROUND + 1)
}

impl Excerpt {
    /// The lines around a place, which count from 0, out of the parts that have them, in order.
    pub(crate) fn new(parts: Vec<StoredPart>, line: u32, column: u32) -> Option<Self> {
        let wanted = lines_around(line);
        let (mut first_line, mut lines) = (None, Vec::new());
        for part in parts {
            let start = part.first_line;
            let text = part.unpack()?;
            // Each line ends with a line feed.
            let numbered = (start..).zip(text.split_inclusive(|byte| *byte == b'\n'));
            for (number, text) in numbered.filter(|(number, _)| wanted.contains(number)) {
                first_line.get_or_insert(number + 1);
                let column = if number == line { column as usize } else { 0 };
                lines.push(shown(text, column));
            }
        }
        Some(Self { first_line: first_line?, lines })
    }
}

/// What is shown of a line, without its end: where it is too long, the piece around the column.
fn shown(line: &[u8], column: usize) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = String::from_utf8_lossy(line);
    let start = if line.len() <= SHOWN_BYTES_MAX { 0 } else { column.saturating_sub(SHOWN_BYTES_MAX / 2) };
    let start = line.floor_char_boundary(start.min(line.len().saturating_sub(SHOWN_BYTES_MAX)));
    let end = line.floor_char_boundary(start + SHOWN_BYTES_MAX);
    line[start..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> Contents {
        let mut packer = Packer::new();
        packer.add(0, 0, text.as_bytes());
        packer.finish()
    }

    fn stored(contents: &Contents, wanted: &Range<u32>) -> Vec<StoredPart> {
        let parts = &contents.parts;
        let ends = parts.iter().skip(1).map(|next| next.first_line).chain([u32::MAX]);
        let touched = parts.iter().zip(ends).filter(|(part, end)| part.first_line < wanted.end && wanted.start < *end);
        let store = |part: &Part| StoredPart {
            first_line: part.first_line,
            bytes: part.bytes as usize,
            data: contents.data(part).to_vec(),
        };
        touched.map(|(part, _)| store(part)).collect()
    }

    fn excerpt(text: &str, line: u32, column: u32) -> Option<Excerpt> {
        let contents = packed(text);
        Excerpt::new(stored(&contents, &lines_around(line)), line, column)
    }

    #[test]
    fn an_excerpt_has_the_lines_around_its_line() {
        let text = (1..=9).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\r\n");
        let middle = excerpt(&text, 4, 0).expect("an excerpt");
        assert_eq!((middle.first_line, middle.lines.len(), middle.lines[3].as_str()), (2, 7, "line 5"));
        let first = excerpt(&text, 0, 0).expect("an excerpt");
        assert_eq!(
            (first.first_line, first.lines.as_slice()),
            (1, ["line 1", "line 2", "line 3", "line 4"].map(String::from).as_slice())
        );
        assert_eq!(excerpt(&text, 8, 0).map(|last| last.lines.len()), Some(4));
        assert_eq!(excerpt(&text, 50, 0), None);
        assert_eq!(excerpt("", 0, 0), None);
        assert_eq!(excerpt("one", 0, 0).map(|one| one.lines), Some(vec!["one".to_owned()]));
    }

    #[test]
    fn any_line_of_a_large_file_costs_a_part_or_two() {
        let lines = (1..=50_000).map(|n| format!("    let value_{n} = {};", n * 7919 % 1000));
        let text = lines.collect::<Vec<_>>().join("\n");
        let contents = packed(&text);
        assert!(contents.packed.len() < text.len() / 3, "{} of {}", contents.packed.len(), text.len());
        for line in (0..50_000).step_by(333) {
            let parts = stored(&contents, &lines_around(line));
            assert!(parts.len() <= 2 && parts.iter().all(|part| part.bytes <= PART_BYTES_MAX));
            let excerpt = Excerpt::new(parts, line, 0).expect("an excerpt");
            let at = line + 1 - excerpt.first_line;
            assert!(excerpt.lines[at as usize].starts_with(&format!("    let value_{} =", line + 1)));
        }
    }

    #[test]
    fn long_lines_are_shown_around_their_column() {
        let text = format!("{}é!{}\nnext", "a".repeat(999), "b".repeat(5000));
        let around = excerpt(&text, 0, 1000).expect("an excerpt");
        assert_eq!(around.lines[0], format!("{}é!{}", "a".repeat(99), "b".repeat(98)));
        let end = excerpt(&text, 0, 50_000).expect("an excerpt");
        assert_eq!((end.lines[0].len(), end.lines[1].as_str()), (SHOWN_BYTES_MAX, "next"));
        let endless = excerpt(&"x".repeat(1_000_000), 0, 999_999).expect("an excerpt");
        assert_eq!(endless.lines[0].len(), SHOWN_BYTES_MAX);
    }

    #[test]
    fn what_cannot_be_compressed_is_kept_as_it_is() {
        let mut random = common::testing::Random::new();
        let text: String = (0..5000).map(|_| char::from(33 + random.below(90) as u8)).collect();
        let shown = excerpt(&text, 0, 0).expect("an excerpt");
        assert_eq!(shown.lines[0], text[..SHOWN_BYTES_MAX]);
        let broken = StoredPart { first_line: 0, bytes: 1000, data: vec![0xFF; 50] };
        assert_eq!(Excerpt::new(vec![broken], 0, 0), None);
    }
}
