//! Cuts a file into lines without ever holding more than one bounded piece of it.

use std::io;
use std::ops::ControlFlow;

/// Docker cuts what a program writes into records of 16 KB, which JSON can make six times as long. A longer record was not
/// written by it, or by an old version of it; of such a one the start and the end are kept.
pub(super) const RECORD_BYTES_MAX: usize = 128 << 10;
/// The end of a record that is too long: its stream and time are there.
const TAIL_BYTES: usize = 256;
/// One read.
const READ_BYTES: usize = 64 << 10;

/// Bytes at any place of a file; a compressed one is read forwards, and a little back.
pub(super) trait ReadAt {
    /// Up to `into.len()` bytes from `offset` on; none at the end.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// A line without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Its first [`RECORD_BYTES_MAX`] bytes and its last ones.
    Cut {
        head: &'a [u8],
        tail: &'a [u8],
    },
}

/// Where reading starts, and what is known of the file there.
#[derive(Clone, Copy)]
pub(super) struct From {
    /// The start of a line.
    pub(super) offset: u64,
    /// Up to here that line is known to have no newline.
    pub(super) scanned: u64,
    /// The file is complete, so its last line is, with or without a newline.
    pub(super) end_is_final: bool,
}

/// How far reading came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// After the last line that was taken.
    pub(super) offset: u64,
    pub(super) scanned: u64,
    /// Every line there is was taken.
    pub(super) is_at_end: bool,
}

/// A buffer for reading lines, shared by all files.
pub(super) struct LineReader {
    buffer: Vec<u8>,
}

impl LineReader {
    pub(super) const fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Gives every complete line and its offset to `take`, until that breaks or the file ends.
    pub(super) fn read(
        &mut self,
        file: &mut dyn ReadAt,
        from: From,
        mut take: impl FnMut(u64, Line<'_>) -> ControlFlow<()>,
    ) -> io::Result<Read> {
        let From { mut offset, scanned, end_is_final } = from;
        let buffer = &mut self.buffer;
        buffer.clear();
        loop {
            if buffer.len() >= RECORD_BYTES_MAX {
                let scan_from = scanned.max(offset + buffer.len() as u64);
                let end = match find_newline(file, scan_from)? {
                    Scan::Newline(at) => at,
                    Scan::End(at) if end_is_final => at,
                    Scan::End(at) => return Ok(Read { offset, scanned: at, is_at_end: true }),
                };
                let mut tail = [0; TAIL_BYTES];
                let length = read_exactly(file, end - TAIL_BYTES as u64, &mut tail)?;
                let flow = take(offset, Line::Cut { head: buffer, tail: &tail[..length] });
                offset = end + 1;
                buffer.clear();
                if flow.is_break() {
                    return Ok(Read { offset, scanned: offset, is_at_end: false });
                }
            }
            let filled = buffer.len();
            let want = READ_BYTES.min(RECORD_BYTES_MAX - filled);
            buffer.resize(filled + want, 0);
            let count = file.read_at(offset + filled as u64, &mut buffer[filled..]);
            buffer.truncate(filled + count.as_ref().copied().unwrap_or(0));
            if count? == 0 {
                if end_is_final && !buffer.is_empty() {
                    let flow = take(offset, Line::Whole(buffer));
                    offset += buffer.len() as u64;
                    return Ok(Read { offset, scanned: offset, is_at_end: flow.is_continue() });
                }
                return Ok(Read { offset, scanned: offset + filled as u64, is_at_end: true });
            }
            let mut consumed = 0;
            for newline in memchr::memchr_iter(b'\n', &buffer[filled..]) {
                let end = filled + newline;
                let flow = take(offset + consumed as u64, Line::Whole(&buffer[consumed..end]));
                consumed = end + 1;
                if flow.is_break() {
                    offset += consumed as u64;
                    return Ok(Read { offset, scanned: offset, is_at_end: false });
                }
            }
            buffer.drain(..consumed);
            offset += consumed as u64;
        }
    }

    /// The first line, if it is complete (or the file is).
    pub(super) fn first_line<T>(
        &mut self,
        file: &mut dyn ReadAt,
        end_is_final: bool,
        mut look: impl FnMut(Line<'_>) -> T,
    ) -> io::Result<Option<T>> {
        let mut found = None;
        self.read(file, From { offset: 0, scanned: 0, end_is_final }, |_, line| {
            found = Some(look(line));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The start of the first line at or after `offset`; the end of the file when there is none.
    pub(super) fn next_line_start(file: &mut dyn ReadAt, offset: u64) -> io::Result<u64> {
        if offset == 0 {
            return Ok(0);
        }
        match find_newline(file, offset - 1)? {
            Scan::Newline(at) => Ok(at + 1),
            // A line that is being written: its start was passed, so it is left out.
            Scan::End(at) => Ok(at),
        }
    }

    /// Lets go of the memory a long line has needed.
    pub(super) fn give_back(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(READ_BYTES);
    }
}

enum Scan {
    Newline(u64),
    End(u64),
}

fn find_newline(file: &mut dyn ReadAt, mut offset: u64) -> io::Result<Scan> {
    let mut piece = [0; 4096];
    loop {
        let count = file.read_at(offset, &mut piece)?;
        if count == 0 {
            return Ok(Scan::End(offset));
        }
        if let Some(at) = memchr::memchr(b'\n', &piece[..count]) {
            return Ok(Scan::Newline(offset + at as u64));
        }
        offset += count as u64;
    }
}

fn read_exactly(file: &mut dyn ReadAt, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(offset + filled as u64, &mut into[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives at most so many bytes per read.
    struct Pieces<'a>(&'a [u8], usize);

    impl ReadAt for Pieces<'_> {
        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(into.len()).min(self.1);
            into[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    /// All lines, taken `at_once` at a time, with what was left over.
    fn lines(text: &[u8], piece: usize, at_once: usize, end_is_final: bool) -> (Vec<(u64, Vec<u8>)>, u64) {
        let (mut reader, mut lines) = (LineReader::new(), Vec::new());
        let mut from = From { offset: 0, scanned: 0, end_is_final };
        loop {
            let mut left = at_once;
            let read = reader
                .read(&mut Pieces(text, piece), from, |offset, line| {
                    let bytes = match line {
                        Line::Whole(bytes) => bytes.to_vec(),
                        Line::Cut { head, tail } => [head, b"...", tail].concat(),
                    };
                    lines.push((offset, bytes));
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .expect("readable");
            (from.offset, from.scanned) = (read.offset, read.scanned);
            if read.is_at_end {
                return (lines, read.offset);
            }
        }
    }

    proptest! {
        #[test]
        fn lines_are_what_split_says(text in "[ab\n]{0,60}", piece in 1usize..9, at_once in 1usize..5, is_final: bool) {
            let (found, end) = lines(text.as_bytes(), piece, at_once, is_final);
            let mut expected: Vec<&str> = text.split('\n').collect();
            let last = expected.pop().unwrap_or_default();
            if is_final && !last.is_empty() {
                expected.push(last);
            }
            let joined: Vec<_> = found.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect();
            prop_assert_eq!(&joined, &expected);
            for (offset, line) in &found {
                prop_assert!(text.as_bytes()[*offset as usize..].starts_with(line));
            }
            prop_assert_eq!(end as usize, if is_final { text.len() } else { text.len() - last.len() });
        }
    }

    #[test]
    fn of_a_line_that_is_too_long_both_ends_are_kept() {
        let long = [vec![b'x'; 3 * RECORD_BYTES_MAX], vec![b'y'; TAIL_BYTES]].concat();
        let text = [b"a\n", &long[..], b"\nb\n"].concat();
        let (found, end) = lines(&text, 5000, 100, false);
        assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 2, 3 + long.len() as u64]);
        assert_eq!(found[1].1.len(), RECORD_BYTES_MAX + 3 + TAIL_BYTES);
        assert!(found[1].1.ends_with(&[b'y'; TAIL_BYTES]));
        assert_eq!(end as usize, text.len());
    }

    #[test]
    fn a_long_line_that_is_not_finished_waits_and_is_not_searched_again() {
        let text = vec![b'x'; 2 * RECORD_BYTES_MAX];
        let mut reader = LineReader::new();
        let from = From { offset: 0, scanned: 0, end_is_final: false };
        let nothing = |_, _: Line<'_>| -> ControlFlow<()> { panic!("no line") };
        let read = reader.read(&mut Pieces(&text, 9999), from, nothing).expect("readable");
        assert_eq!(read, Read { offset: 0, scanned: text.len() as u64, is_at_end: true });
        let (found, _) = lines(&text, 9999, 1, true);
        assert_eq!(found.len(), 1);
    }
}
