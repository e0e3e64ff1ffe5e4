//! Where in a stored map to start reading: decoder states along the mappings, and positions along the lists of sources and
//! names. With it a lookup reads a few kilobytes of a map of any size.

use std::ops::Range;

use common::json::Invalid;
use nanoserde::{DeBin, SerBin};

use super::json::elements;
use super::vlq::{Decoder, State, Token};
use super::{invalid, json};

/// Mappings between two checkpoints: about a thousand segments, decoded in some 50 µs.
const STRETCH_BYTES: usize = 8 << 10;
/// A stretch ends with the first segment that begins behind that: up to five numbers of seven digits.
const STRETCH_BYTES_MAX: usize = STRETCH_BYTES + 64;
/// Text of a list between two of its positions.
const BLOCK_BYTES: usize = 2 << 10;
/// What is read of an entry, as JSON: the last one of a block may be of any length, such as a `data:` URL.
const ENTRY_BYTES_MAX: usize = 4 << 10;

/// What is known about a stored map without reading it.
#[expect(unreachable_pub, reason = "nanoserde's derive knows no pub(crate)")]
#[derive(Debug, Default, PartialEq, SerBin, DeBin)]
pub struct Index {
    /// In front of each source, unless empty.
    pub source_root: String,
    /// Where the mappings begin in the stored text.
    pub mappings_at: u32,
    pub mappings_bytes: u32,
    /// In the order of the text.
    pub checkpoints: Vec<Checkpoint>,
    pub sources: Entries,
    pub names: Entries,
}

/// A place behind a separator. From here the next segment is at `line` and `column`.
#[expect(unreachable_pub, reason = "nanoserde's derive knows no pub(crate)")]
#[derive(Debug, PartialEq, SerBin, DeBin)]
pub struct Checkpoint {
    /// From the start of the mappings.
    at: u32,
    pub state: State,
    line: u32,
    column: u32,
}

/// A JSON array of strings.
#[expect(unreachable_pub, reason = "nanoserde's derive knows no pub(crate)")]
#[derive(Debug, Default, PartialEq, SerBin, DeBin)]
pub struct Entries {
    /// Where it begins in the stored text.
    pub at: u32,
    bytes: u32,
    blocks: Vec<Block>,
}

/// From here the next entry is the one of this number.
#[derive(Debug, PartialEq, SerBin, DeBin)]
struct Block {
    number: u32,
    /// From the start of the array.
    at: u32,
}

/// A piece of the stored text that holds an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntryPlace {
    pub(crate) text: Range<usize>,
    /// How many entries of the piece are before it.
    pub(crate) skip: usize,
}

impl Index {
    /// The piece of the stored text that says where this position comes from, and the state to decode it with.
    ///
    /// Columns of a line ascend in all maps we know of. Where they do not, this is one of the pieces that might say it.
    pub(crate) fn stretch(&self, line: u32, column: u32) -> Option<(Range<usize>, State)> {
        let behind = self.checkpoints.partition_point(|here| (here.line, here.column) <= (line, column));
        let here = self.checkpoints.get(behind.checked_sub(1)?)?;
        let start = here.at as usize;
        let next = self.checkpoints.get(behind).map_or(self.mappings_bytes, |next| next.at) as usize;
        let base = self.mappings_at as usize;
        Some((base + start..base + next.min(start + STRETCH_BYTES_MAX), here.state))
    }
}

impl Entries {
    /// Reads a list; `at` is where it will begin in the stored text.
    pub(super) fn read(list: &[u8], at: usize, name: &str, may_be_null: bool) -> Result<Self, Invalid> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, entry) in elements(list).enumerate() {
            let text = &list[entry.clone()];
            if !(text.starts_with(b"\"") || (may_be_null && text == b"null")) {
                return Err(invalid(format_args!("{name}: expected strings, entry {number} is something else")));
            }
            if blocks.last().is_none_or(|block| entry.start - block.at as usize >= BLOCK_BYTES) {
                blocks.push(Block { number: number as u32, at: entry.start as u32 });
            }
        }
        Ok(Self { at: at as u32, bytes: list.len() as u32, blocks })
    }

    /// Where an entry is, as far as this list has so many.
    pub(crate) fn find(&self, number: u32) -> Option<EntryPlace> {
        let behind = self.blocks.partition_point(|block| block.number <= number);
        let block = self.blocks.get(behind.checked_sub(1)?)?;
        let end = self.blocks.get(behind).map_or(self.bytes, |next| next.at) as usize;
        let start = block.at as usize;
        let base = self.at as usize;
        let text = base + start..base + end.min(start + BLOCK_BYTES + ENTRY_BYTES_MAX);
        Some(EntryPlace { text, skip: (number - block.number) as usize })
    }
}

impl EntryPlace {
    /// The entry, given the piece of text that was read; none where it is `null` or the list is shorter. What is too long is
    /// cut.
    pub(crate) fn read(&self, mut text: Vec<u8>) -> Option<String> {
        let mut at = 0;
        for _ in 0..self.skip {
            at = json::next_element(&text, at)?.end;
        }
        let entry = json::next_element(&text, at)?;
        if text[entry.start] != b'"' {
            return None;
        }
        let is_whole = entry.len() > 1 && text[entry.end - 1] == b'"';
        let inside = entry.start + 1..if is_whole { entry.end - 1 } else { entry.end };
        let length = json::unescape(&mut text, inside, 0);
        text.truncate(length);
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Reads all mappings once: that they are valid, and where to start again.
pub(super) fn checkpoints(mappings: &[u8]) -> Result<Vec<Checkpoint>, Invalid> {
    let mut decoder = Decoder::new(mappings, State::default());
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    // Where the next one begins, if a segment follows.
    let mut start = Some((0, State::default()));
    let token = |decoder: &mut Decoder<'_>| {
        decoder.next().map_err(|bad| invalid(format_args!("mappings: {} at byte {}", bad.why, bad.at)))
    };
    while let Some(token) = token(&mut decoder)? {
        match (token, start) {
            (Token::Segment(segment), Some((at, state))) => {
                let (line, column) = (segment.line, segment.column);
                checkpoints.push(Checkpoint { at: at as u32, state, line, column });
                start = None;
            }
            (Token::Segment(_), None) => {}
            (Token::Separator, Some(_)) => start = Some((decoder.at, decoder.state)),
            (Token::Separator, None) => {
                if checkpoints.last().is_some_and(|last| decoder.at - last.at as usize >= STRETCH_BYTES) {
                    start = Some((decoder.at, decoder.state));
                }
            }
        }
    }
    Ok(checkpoints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sourcemap::vlq::testing::encode;
    use crate::sourcemap::vlq::{Original, Segment};

    fn segment(line: u32, column: u32, name: u32) -> Segment {
        let original = Original { source: name % 7, line: name, column: name / 2, name: Some(name) };
        Segment { line, column, original: Some(original) }
    }

    #[test]
    fn every_segment_is_in_the_stretch_of_its_place_and_stretches_are_short() {
        let segments: Vec<_> = (0..40_000).map(|n| segment(n / 9000 * 20_000, (n % 9000) * 3, n)).collect();
        let text = encode(&segments);
        let index = Index {
            mappings_at: 5,
            mappings_bytes: text.len() as u32,
            checkpoints: checkpoints(text.as_bytes()).expect("valid"),
            ..Index::default()
        };
        assert!(text.len() > 300_000 && index.checkpoints.len() > 20, "{}", index.checkpoints.len());
        for wanted in segments.iter().step_by(97) {
            let (range, state) = index.stretch(wanted.line, wanted.column + 1).expect("a stretch");
            assert!(range.len() <= STRETCH_BYTES_MAX, "{range:?}");
            let mut decoder = Decoder::new(&text.as_bytes()[range.start - 5..range.end - 5], state);
            let mut found = false;
            while let Some(token) = decoder.next().expect("valid") {
                found |= token == Token::Segment(*wanted);
            }
            assert!(found, "{wanted:?}");
        }
        assert_eq!(index.stretch(0, 0).map(|(range, _)| range.start), Some(5));
    }

    #[test]
    fn a_list_is_read_from_near_its_entry() {
        let names: Vec<_> = (0..5000).map(|n| format!("name \"{n}\"")).collect();
        let list = serde_json::to_string(&names).expect("JSON");
        let text = format!("head{list}");
        let entries = Entries::read(list.as_bytes(), 4, "names", false).expect("a list");
        for number in [0, 1, 133, 2500, 4999] {
            let place = entries.find(number).expect("a place");
            assert!(place.text.len() < 3000, "{place:?}");
            let name = place.read(text.as_bytes()[place.text.clone()].to_vec());
            assert_eq!(name.as_ref(), Some(&names[number as usize]));
        }
        let beyond = entries.find(5000).expect("the last place");
        assert_eq!(beyond.read(text.as_bytes()[beyond.text.clone()].to_vec()), None);
    }

    #[test]
    fn entries_of_any_length_cost_no_more_than_others() {
        let list = serde_json::to_string(&["a", &"x".repeat(1_000_000), "b"]).expect("JSON");
        let entries = Entries::read(list.as_bytes(), 0, "sources", true).expect("a list");
        let read = |number| {
            let place = entries.find(number)?;
            assert!(place.text.len() <= BLOCK_BYTES + ENTRY_BYTES_MAX);
            place.read(list.as_bytes()[place.text.clone()].to_vec())
        };
        assert_eq!((read(0).as_deref(), read(2).as_deref()), (Some("a"), Some("b")));
        assert!(read(1).is_some_and(|long| long.len() > 4000 && long.bytes().all(|byte| byte == b'x')));
    }

    #[test]
    fn lists_hold_strings() {
        assert!(Entries::read(b"[1]", 0, "names", false).is_err());
        assert!(Entries::read(b"[null]", 0, "names", false).is_err());
        let entries = Entries::read(b"[null]", 0, "sources", true).expect("a list");
        assert_eq!(entries.find(0).and_then(|place| place.read(b"null]".to_vec())), None);
        assert_eq!(Entries::read(b"[]", 0, "names", false).expect("a list").find(0), None);
    }
}
