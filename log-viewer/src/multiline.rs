//! Records become entries: pieces of a line become the line, and lines that belong together one entry.

use crate::docker_line::Record;
use crate::entry::{LogTime, NewEntry, Stream};
use crate::level;
use crate::trace::Trace;

/// No message is longer. A longer line is cut, and says so with [`cut_mark`].
pub(crate) const ENTRY_BYTES_MAX: usize = 256 << 10;

/// No line is added to an entry that would then be longer; it begins another one.
pub(crate) const JOINED_BYTES_MAX: usize = 64 << 10;

/// No more lines are joined to one entry: a deep recursion's trace has this many.
pub(crate) const JOINED_LINES_MAX: usize = 1000;

/// As long as [`cut_mark`] can be.
const CUT_MARK_BYTES_MAX: usize = 64;

/// How a cut line ends.
fn cut_mark(bytes: u64) -> String {
    format!("… [{bytes} bytes cut]")
}

/// Makes entries of what one container writes to one stream.
#[derive(Debug)]
pub(crate) struct Assembler {
    stream: Stream,
    entry: Option<Open>,
    /// The pieces so far of a line that has no end yet.
    line: Option<Line>,
}

/// An entry that may get more lines.
#[derive(Debug)]
struct Open {
    start: u64,
    time: LogTime,
    message: String,
    lines: usize,
    trace: Trace,
}

#[derive(Debug)]
struct Line {
    start: u64,
    time: LogTime,
    text: String,
    /// How much is not in `text`.
    bytes_cut: u64,
}

impl Assembler {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self { stream, entry: None, line: None }
    }

    /// Takes the record that begins at `position` and returns the entry that it closed. A record without a time has
    /// `fallback`.
    pub(crate) fn push(&mut self, position: u64, record: &Record<'_>, fallback: LogTime) -> Option<NewEntry> {
        let time = record.time.unwrap_or(fallback);
        if record.ends_line && self.line.is_none() && record.text.len() <= ENTRY_BYTES_MAX {
            return self.add(position, time, &record.text);
        }
        let line = self.line.get_or_insert_with(|| Line::new(position, time));
        line.push(&record.text);
        if record.ends_line { self.end_line() } else { None }
    }

    /// Ends the open entry, because nothing was added to it for a while. A line without an end that does not belong to
    /// it becomes the open entry: whoever wants everything asks until there is nothing.
    pub(crate) fn close(&mut self) -> Option<NewEntry> {
        self.end_line().or_else(|| self.entry.take().map(|entry| entry.finish(self.stream)))
    }

    /// Where the first record begins of which something is still held here.
    pub(crate) fn start(&self) -> Option<u64> {
        self.entry.as_ref().map(|entry| entry.start).or_else(|| self.line.as_ref().map(|line| line.start))
    }

    /// Whether the last line has no end yet, or a trace not all of its parts.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.line.is_some() || self.entry.as_ref().is_some_and(|entry| entry.trace.is_unfinished())
    }

    /// How much text is held here.
    pub(crate) fn bytes(&self) -> usize {
        let entry = self.entry.as_ref().map_or(0, |entry| entry.message.len());
        entry + self.line.as_ref().map_or(0, |line| line.text.len())
    }

    fn end_line(&mut self) -> Option<NewEntry> {
        let line = self.line.take()?;
        let (start, time) = (line.start, line.time);
        self.add(start, time, &line.finish())
    }

    /// Adds a whole line to the open entry, or begins another one and returns that.
    fn add(&mut self, start: u64, time: LogTime, line: &str) -> Option<NewEntry> {
        if let Some(entry) = &mut self.entry
            && entry.accept(line)
        {
            return None;
        }
        let closed = self.entry.replace(Open::new(start, time, line));
        closed.map(|entry| entry.finish(self.stream))
    }
}

impl Open {
    fn new(start: u64, time: LogTime, line: &str) -> Self {
        Self { start, time, message: line.to_owned(), lines: 1, trace: Trace::begin(line) }
    }

    fn accept(&mut self, line: &str) -> bool {
        let has_room = self.lines < JOINED_LINES_MAX && self.message.len() + 1 + line.len() <= JOINED_BYTES_MAX;
        let is_accepted = has_room && self.trace.accept(&self.message, line);
        if is_accepted {
            self.message.push('\n');
            self.message.push_str(line);
            self.lines += 1;
        }
        is_accepted
    }

    fn finish(self, stream: Stream) -> NewEntry {
        let Self { time, message, .. } = self;
        NewEntry { time, stream, level: level::detect(&message, stream), message }
    }
}

impl Line {
    const fn new(start: u64, time: LogTime) -> Self {
        Self { start, time, text: String::new(), bytes_cut: 0 }
    }

    fn push(&mut self, piece: &str) {
        let room = if self.bytes_cut == 0 { ENTRY_BYTES_MAX - self.text.len() } else { 0 };
        let (kept, cut) = piece.split_at(piece.floor_char_boundary(room));
        self.text.push_str(kept);
        self.bytes_cut += cut.len() as u64;
    }

    /// The whole line. A carriage return before its end may have come in another piece than the end.
    fn finish(mut self) -> String {
        if self.bytes_cut > 0 {
            let kept = self.text.floor_char_boundary(ENTRY_BYTES_MAX - CUT_MARK_BYTES_MAX);
            self.bytes_cut += (self.text.len() - kept) as u64;
            self.text.truncate(kept);
            self.text.push_str(&cut_mark(self.bytes_cut));
        } else {
            self.text.truncate(self.text.trim_end_matches('\r').len());
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::docker_line;
    use crate::entry::Level;

    fn at(nanos: i64) -> LogTime {
        LogTime::from_nanos(nanos)
    }

    fn record(text: &str, ends_line: bool) -> Record<'_> {
        Record { time: None, stream: Stream::Stderr, text: text.into(), ends_line }
    }

    /// The entries of pieces, each of which begins at its index; whatever is open in the end is closed.
    fn assemble(pieces: &[(&str, bool)]) -> Vec<NewEntry> {
        let mut assembler = Assembler::new(Stream::Stderr);
        let mut entries = Vec::new();
        for (index, (text, ends_line)) in pieces.iter().enumerate() {
            entries.extend(assembler.push(index as u64, &record(text, *ends_line), at(index as i64)));
        }
        entries.extend(std::iter::from_fn(|| assembler.close()));
        assert_eq!((assembler.start(), assembler.bytes(), assembler.is_unfinished()), (None, 0, false));
        entries
    }

    fn messages(lines: &[&str]) -> Vec<String> {
        let pieces: Vec<_> = lines.iter().map(|line| (*line, true)).collect();
        assemble(&pieces).into_iter().map(|entry| entry.message).collect()
    }

    #[test]
    fn time_level_and_stream_are_the_entrys() {
        let entries = assemble(&[("WARN: first", true), (" more", true), ("seco", false), ("nd", true)]);
        let entry = |nanos, level, message: &str| {
            let message = message.to_owned();
            NewEntry { time: at(nanos), stream: Stream::Stderr, level, message }
        };
        assert_eq!(entries, [entry(0, Level::Warning, "WARN: first\n more"), entry(2, Level::Error, "second")]);
        let timed = Record { time: Some(at(7)), ..record("a", true) };
        let mut assembler = Assembler::new(Stream::Stdout);
        assert_eq!(assembler.push(0, &timed, at(9)), None);
        let entry = assembler.close().expect("an entry");
        assert_eq!((entry.time, entry.stream, entry.level), (at(7), Stream::Stdout, Level::Info));
    }

    #[test]
    fn the_start_is_that_of_the_oldest_record_held() {
        let mut assembler = Assembler::new(Stream::Stdout);
        let mut push = |position, text, ends_line| {
            let closed = assembler.push(position, &record(text, ends_line), at(0)).map(|entry| entry.message);
            (closed, assembler.start(), assembler.is_unfinished(), assembler.bytes())
        };
        assert_eq!(push(10, "a", true), (None, Some(10), false, 1));
        assert_eq!(push(20, " b", false), (None, Some(10), true, 3));
        assert_eq!(push(30, "c", true), (None, Some(10), false, 5));
        assert_eq!(push(40, "d", false), (None, Some(10), true, 6));
        assert_eq!(push(50, "e", true), (Some("a\n bc".into()), Some(40), false, 2));
        assert_eq!(push(60, "f", true), (Some("de".into()), Some(60), false, 1));
    }

    #[test]
    fn a_line_without_an_end_is_closed_behind_the_entry() {
        let mut assembler = Assembler::new(Stream::Stdout);
        assert_eq!(assembler.push(1, &record("a", true), at(0)), None);
        assert_eq!(assembler.push(2, &record("last words", false), at(0)), None);
        assert_eq!(assembler.close().expect("an entry").message, "a");
        assert_eq!((assembler.start(), assembler.is_unfinished()), (Some(2), false));
        assert_eq!(assembler.close().expect("an entry").message, "last words");
        assert_eq!((assembler.start(), assembler.close()), (None, None));
        assert_eq!(assemble(&[("a", true), (" b", false)]).len(), 1);
    }

    #[test]
    fn an_entry_has_a_bounded_number_of_lines() {
        let mut lines = vec!["first"];
        lines.resize(2 * JOINED_LINES_MAX + 5, "\tat f");
        let counts: Vec<_> = messages(&lines).iter().map(|message| message.lines().count()).collect();
        assert_eq!(counts, [JOINED_LINES_MAX, JOINED_LINES_MAX, 5]);
    }

    #[test]
    fn an_entry_has_a_bounded_length() {
        let half = format!(" {}", "x".repeat(JOINED_BYTES_MAX / 2 - 1));
        let fits = &half[..half.len() - 1];
        assert_eq!(messages(&[&half, &half, &half]).len(), 3);
        let lengths: Vec<_> = messages(&[&half, fits, "\ty"]).iter().map(String::len).collect();
        assert_eq!(lengths, [JOINED_BYTES_MAX, 2]);
        let long = "x".repeat(JOINED_BYTES_MAX + 1);
        assert_eq!(messages(&[&long, " y", " z"]), [long, " y\n z".into()]);
    }

    #[test]
    fn a_line_has_a_bounded_length() {
        let long = "é".repeat(ENTRY_BYTES_MAX / 2);
        assert_eq!(messages(&[&long])[0], long);
        let longer = format!("{long}é and more");
        let cut = messages(&[&longer]);
        assert_eq!(cut.len(), 1);
        let (text, mark) = cut[0].split_once('…').expect("a mark");
        assert!(longer.starts_with(text) && cut[0].len() <= ENTRY_BYTES_MAX, "{}", cut[0].len());
        assert_eq!(format!("…{mark}"), cut_mark((longer.len() - text.len()) as u64));
        assert_eq!(assemble(&[(&long, false), ("é and", false), (" more", true)])[0].message, cut[0]);
        assert!(cut_mark(u64::MAX).len() <= CUT_MARK_BYTES_MAX);
    }

    proptest! {
        /// In whatever pieces lines arrive: the entries are the same, and every line is in them.
        #[test]
        fn no_line_is_lost(
            lines in prop::collection::vec(
                "(|[a-z]{1,5}| x|\ty|Traceback \\(most recent call last\\):|  File \"x\", line 1|KeyError: 1|panic: x\
                 |goroutine 1 \\[running\\]:|main.f\\(\\)|/app/x.js:3|\\^|Node.js v2|thread 'a' panicked at x:|note: é\
                 |x.rb:1:in `rescue in f': a \\(NameError\\)|Unhandled Exception:|Caused by: z|\x1b\\[1mé|  \\^|})",
                0..30,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let whole: Vec<_> = lines.iter().map(|line| (line.as_str(), true)).collect();
            let expected = assemble(&whole);
            let joined: Vec<_> = expected.iter().map(|entry| entry.message.as_str()).collect();
            prop_assert_eq!(joined.join("\n"), lines.join("\n"));

            let mut pieces = Vec::new();
            for (line, cut) in lines.iter().zip(cuts.iter().map(Some).chain(std::iter::repeat(None))) {
                let at = cut.map_or(0, |cut| line.floor_char_boundary(cut.index(line.len() + 1)));
                let (before, after) = line.split_at(at);
                pieces.extend([(before, false), ("", false), (after, true)]);
            }
            let of_pieces = assemble(&pieces);
            let text = |entries: Vec<NewEntry>| entries.into_iter().map(|entry| (entry.level, entry.message)).collect::<Vec<_>>();
            prop_assert_eq!(text(of_pieces), text(expected));
        }

        /// A reader that was stopped reads again from the start of what was open, and gets the same entries.
        #[test]
        fn reading_again_gives_the_same(
            lines in prop::collection::vec("(a| x|Traceback \\(most recent call last\\):|E: 1|goroutine 1 \\[x\\]:|m.f\\(\\)|)", 1..20),
            stop in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<_> = lines.iter().map(|line| (line.as_str(), true)).collect();
            let mut assembler = Assembler::new(Stream::Stderr);
            let mut entries = Vec::new();
            for (index, line) in lines[..=stop.index(lines.len())].iter().enumerate() {
                entries.extend(assembler.push(index as u64, &record(line, true), at(0)));
            }
            let start = assembler.start().expect("an open entry") as usize;
            entries.extend(assemble(&whole[start..]));
            let text = |entries: Vec<NewEntry>| entries.into_iter().map(|entry| entry.message).collect::<Vec<_>>();
            prop_assert_eq!(text(entries), text(assemble(&whole)));
        }
    }

    fn golden_files(extension: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let paths = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }

    /// Feeds records to their streams' assemblers, and compares the entries, stream by stream, with `NAME.json`.
    #[track_caller]
    fn check_golden<'a>(path: &Path, records: impl Iterator<Item = Record<'a>>) {
        let mut assemblers = [Stream::Stdout, Stream::Stderr].map(Assembler::new);
        let mut entries = BTreeMap::from([("stdout", Vec::new()), ("stderr", Vec::new())]);
        for (index, record) in records.enumerate() {
            let assembler = &mut assemblers[usize::from(record.stream == Stream::Stderr)];
            let closed = assembler.push(index as u64, &record, at(0));
            entries.entry(record.stream.name()).or_default().extend(closed);
        }
        for mut assembler in assemblers {
            entries.entry(assembler.stream.name()).or_default().extend(std::iter::from_fn(|| assembler.close()));
        }
        let shown: Vec<Value> = entries.into_values().rev().flatten().map(|entry| show(&entry)).collect();
        let actual = serde_json::to_string_pretty(&shown).expect("JSON") + "\n";
        let expected_path = path.with_extension("json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected_path, actual).expect("the golden folder");
        } else {
            let expected = fs::read_to_string(&expected_path).expect("the expected entries");
            assert_eq!(actual, expected, "{}", expected_path.display());
        }
    }

    /// As in a golden file: a message line by line, so that a difference can be read.
    fn show(entry: &NewEntry) -> Value {
        let mut shown = json!({"stream": entry.stream.name(), "level": entry.level.name()});
        if entry.time != at(0) {
            shown["time"] = json!(entry.time.to_string());
        }
        shown["lines"] = entry.message.split('\n').collect();
        shown
    }

    /// What real programs say when they die; `tests/golden/record.sh` asked them.
    #[test]
    fn programs_last_words() {
        let paths = golden_files("lines");
        assert_eq!(paths.len(), 17);
        for path in paths {
            let text = fs::read_to_string(&path).expect("a golden file");
            let records = text.lines().map(|line| match line.split_at(2) {
                ("O|", text) => Record { stream: Stream::Stdout, ..record(text, true) },
                ("E|", text) => record(text, true),
                _ => panic!("{}: {line}", path.display()),
            });
            check_golden(&path, records);
        }
    }

    /// What Docker's driver writes.
    #[test]
    fn records_of_the_driver() {
        let paths = golden_files("records");
        assert_eq!(paths.len(), 1);
        for path in paths {
            let text = fs::read_to_string(&path).expect("a golden file");
            check_golden(&path, text.lines().map(|line| docker_line::parse(line.as_bytes()).expect("a record")));
        }
    }
}
