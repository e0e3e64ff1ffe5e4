//! Follows one container's log through its files and makes entries of it.
//!
//! Positions count the bytes of the log as if its files were one: rotation does not change them. What is stored, and where
//! to go on after a crash, is the [`Cursor`]; everything else here can be thrown away and read again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::containers::Container;
use super::figures::Figures;
use super::files::{LogFile, Sibling, bytes_after, siblings};
use super::lines::{From, Line, LineReader};
use crate::cursor::{Cursor, FileId};
use crate::docker_line::{self, Record};
use crate::entry::{LogTime, NewEntry, Stream};
use crate::multiline::Assembler;

/// An entry is complete when nothing was added to its log for so long: a trace is written in one go.
const QUIET: Duration = Duration::from_millis(50);
/// The same for what is not at its end, such as a prompt, a program's last words, or a panic whose frames are looked up
/// (docs/decisions/0009-unfinished-traces.md).
const QUIET_UNFINISHED: Duration = Duration::from_secs(1);
/// What is taken from one container before the next has its turn, in bytes of messages.
const PART_BYTES_MAX: usize = 256 << 10;
/// The same in entries: short lines cost more than their bytes.
const PART_ENTRIES_MAX: usize = 2000;

/// Where a log is read from.
#[derive(Clone)]
pub(super) enum Begin {
    /// Go on where reading stopped; the time of the newest stored entry helps when the file is not there any more.
    Stored { cursor: Cursor, newest: Option<LogTime> },
    /// So many bytes before the end: the log was there before us.
    Tail(u64),
    /// From its first byte: it began while we watched.
    Whole,
}

/// Entries of one container on their way to the store.
pub(super) struct Part {
    pub(super) entries: Vec<NewEntry>,
    bytes: usize,
}

impl Part {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), bytes: 0 }
    }

    fn extend(&mut self, entries: impl IntoIterator<Item = NewEntry>) {
        for entry in entries {
            self.bytes += entry.message.len();
            self.entries.push(entry);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= PART_BYTES_MAX || self.entries.len() >= PART_ENTRIES_MAX
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

pub(super) struct Follower {
    pub(super) container: Container,
    begin: Begin,
    /// None until the log exists.
    place: Option<Place>,
    /// Files read to their end in which an open entry begins, the oldest first.
    left: VecDeque<Left>,
    stdout: Assembler,
    stderr: Assembler,
    /// What lies before these positions is stored.
    stored: [u64; 2],
    /// What is not newer is stored.
    newer_than: Option<LogTime>,
    last_time: Option<LogTime>,
    /// When a record of stdout, and of stderr, was last read.
    active: [Instant; 2],
}

/// Where reading stands.
struct Place {
    file: LogFile,
    /// The position of the file's first byte.
    base: u64,
    /// The next line, from the file's first byte.
    offset: u64,
    scanned: u64,
    /// Nothing will be added to the file.
    is_complete: bool,
}

impl Place {
    fn new(file: LogFile, base: u64) -> Self {
        let is_complete = file.is_compressed();
        Self { file, base, offset: 0, scanned: 0, is_complete }
    }

    const fn position(&self) -> u64 {
        self.base + self.offset
    }
}

struct Left {
    id: FileId,
    path: String,
    base: u64,
}

/// When a record is read.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    time: LogTime,
}

/// What comes after a file's last line.
enum Next {
    /// Nothing yet.
    Wait,
    /// A rotation is under way: there will be another file, so nothing is complete yet.
    Later,
    /// The file has become complete, or another is open.
    Read,
}

impl Follower {
    pub(super) fn new(container: Container, begin: Begin) -> Self {
        Self {
            container,
            begin,
            place: None,
            left: VecDeque::new(),
            stdout: Assembler::new(Stream::Stdout),
            stderr: Assembler::new(Stream::Stderr),
            stored: [0; 2],
            newer_than: None,
            last_time: None,
            active: [Instant::now(); 2],
        }
    }

    /// Reads until `part` is full or there is nothing more; whether there may be more.
    pub(super) fn read(
        &mut self,
        reader: &mut LineReader,
        now: LogTime,
        part: &mut Part,
        figures: &Figures,
    ) -> io::Result<bool> {
        match self.read_on(reader, now, part, figures) {
            // A rotation is under way, and its next step will be noticed.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.active = [Instant::now(); 2];
                Ok(false)
            }
            outcome => outcome,
        }
    }

    fn read_on(
        &mut self,
        reader: &mut LineReader,
        now: LogTime,
        part: &mut Part,
        figures: &Figures,
    ) -> io::Result<bool> {
        if self.place.is_none() && !self.start(reader, figures)? {
            return Ok(false);
        }
        loop {
            let moment = Moment { at: Instant::now(), time: now };
            if !self.read_file(reader, moment, part, figures)? {
                return Ok(true);
            }
            match self.go_on(reader, part, figures)? {
                Next::Read => {}
                Next::Later => {
                    self.active = [Instant::now(); 2];
                    return Ok(false);
                }
                Next::Wait => {
                    self.close_quiet(part, moment.at);
                    return Ok(false);
                }
            }
        }
    }

    /// Reads on in the open file; whether it was read to its end.
    fn read_file(
        &mut self,
        reader: &mut LineReader,
        moment: Moment,
        part: &mut Part,
        figures: &Figures,
    ) -> io::Result<bool> {
        let Some(mut place) = self.place.take() else { return Ok(true) };
        let from = From { offset: place.offset, scanned: place.scanned, end_is_final: place.is_complete };
        let read = reader.read(&mut place.file, from, |offset, line| {
            self.take_line(place.base + offset, &line, moment, part, figures);
            if part.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Ok(read) = &read {
            (place.offset, place.scanned) = (read.offset, read.scanned);
        }
        self.place = Some(place);
        Ok(read?.is_at_end)
    }

    fn take_line(&mut self, position: u64, line: &Line<'_>, now: Moment, part: &mut Part, figures: &Figures) {
        let record = match line {
            Line::Whole(line) => docker_line::parse(line),
            Line::Cut { head, tail } => {
                figures.cut.add(1);
                docker_line::parse_cut(head, tail)
            }
        };
        let Some(record) = record else {
            if figures.corrupt.add(1) == 0 {
                log::warn!("{}: a record that is not Docker's is left out; more are only counted", self.container.name);
            }
            return;
        };
        if self.is_stored(position, &record) {
            return;
        }
        figures.lines.add(1);
        self.active[record.stream as usize] = now.at;
        let fallback = self.last_time.unwrap_or(now.time);
        self.last_time = record.time.or(self.last_time);
        let assembler = match record.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        part.extend(assembler.push(position, &record, fallback));
    }

    fn is_stored(&mut self, position: u64, record: &Record<'_>) -> bool {
        if position < self.stored[record.stream as usize] {
            return true;
        }
        match (self.newer_than, record.time) {
            (Some(newest), Some(time)) if time <= newest => true,
            (Some(_), Some(_)) => {
                self.newer_than = None;
                false
            }
            _ => false,
        }
    }

    /// What follows the end of the open file.
    fn go_on(&mut self, reader: &mut LineReader, part: &mut Part, figures: &Figures) -> io::Result<Next> {
        let Some(place) = &mut self.place else { return Ok(Next::Wait) };
        if !place.is_complete {
            if place.file.length()?.is_some_and(|length| length < place.offset) {
                figures.truncated.add(1);
                self.start_again(part)?;
                return Ok(Next::Read);
            }
            // Docker closes a file before it renames it: what it holds now is all it will ever hold.
            place.is_complete = place.file.is_replaced(&self.container.log_path())? == Some(true);
            return Ok(if place.is_complete { Next::Read } else { Next::Wait });
        }
        self.next_file(reader, part, figures)
    }

    /// The open file was emptied: what is in it now is new.
    fn start_again(&mut self, part: &mut Part) -> io::Result<()> {
        let Some(position) = self.place.as_ref().map(Place::position) else { return Ok(()) };
        let siblings = siblings(&self.container.folder, &self.container.id)?;
        let Some(current) = siblings.iter().find(|sibling| sibling.age == 0) else { return Ok(()) };
        let file = LogFile::open(current)?;
        self.close_all(part);
        self.left.clear();
        self.stored = [position; 2];
        self.place = Some(Place::new(file, position));
        Ok(())
    }

    /// Opens the file that was begun when the open one was complete.
    fn next_file(&mut self, reader: &mut LineReader, part: &mut Part, figures: &Figures) -> io::Result<Next> {
        let Some(place) = &mut self.place else { return Ok(Next::Wait) };
        let id = place.file.id(reader)?;
        let siblings = siblings(&self.container.folder, &self.container.id)?;
        let next = match find(&siblings, &id, reader)? {
            // It is the current one after all: a rename is half done.
            Some(0) => return Ok(Next::Later),
            Some(at) => &siblings[at - 1],
            None => return self.bridge_gap(reader, part, figures),
        };
        let file = LogFile::open(next)?;
        let path = place.file.path.display().to_string();
        self.left.push_back(Left { id, path, base: place.base });
        self.place = Some(Place::new(file, place.position()));
        Ok(Next::Read)
    }

    /// The file that was read is gone, and perhaps others that came after it: goes on with the oldest that holds news.
    fn bridge_gap(&mut self, reader: &mut LineReader, part: &mut Part, figures: &Figures) -> io::Result<Next> {
        let Some(place) = &self.place else { return Ok(Next::Wait) };
        let position = place.position();
        let Some(file) = self.oldest_with_news(self.last_time, reader, figures)? else { return Ok(Next::Later) };
        self.close_all(part);
        self.left.clear();
        self.stored = [position; 2];
        self.place = Some(Place::new(file, position));
        Ok(Next::Read)
    }

    /// The first file that may hold records after `newest`. Counts a gap when older ones have been deleted.
    fn oldest_with_news(
        &mut self,
        newest: Option<LogTime>,
        reader: &mut LineReader,
        figures: &Figures,
    ) -> io::Result<Option<LogFile>> {
        let siblings = siblings(&self.container.folder, &self.container.id)?;
        let mut oldest = None;
        for sibling in &siblings {
            let mut file = LogFile::open(sibling)?;
            let is_complete = file.is_compressed();
            let first = reader.first_line(&mut file, is_complete, |line| first_time(&line))?.flatten();
            oldest = Some(file);
            if first.is_some() && first <= newest {
                self.newer_than = newest;
                return Ok(oldest);
            }
        }
        self.newer_than = newest;
        if oldest.is_some() && newest.is_some() && figures.gaps.add(1) == 0 {
            let name = &self.container.name;
            log::warn!("{name}: its log was rotated away before it was read; some lines may be missing");
        }
        Ok(oldest)
    }

    /// Opens the log for the first time; false when there is none yet.
    fn start(&mut self, reader: &mut LineReader, figures: &Figures) -> io::Result<bool> {
        let siblings = siblings(&self.container.folder, &self.container.id)?;
        let Some(newest) = siblings.first() else { return Ok(false) };
        match self.begin.clone() {
            Begin::Whole => {
                self.place = siblings.last().map(LogFile::open).transpose()?.map(|file| Place::new(file, 0));
            }
            Begin::Tail(bytes) => {
                let mut place = Place::new(LogFile::open(newest)?, 0);
                let length = place.file.length()?.unwrap_or(0);
                place.offset = LineReader::next_line_start(&mut place.file, length.saturating_sub(bytes))?;
                // From here on it is read again after a failure, wherever the end is by then.
                let file = place.file.id(reader)?;
                let path = place.file.path.display().to_string();
                let container_id = self.container.id.clone();
                let cursor = Cursor { container_id, path, file, stdout: place.offset, stderr: place.offset };
                self.begin = match file.first_record {
                    Some(_) => Begin::Stored { cursor, newest: None },
                    None => Begin::Whole,
                };
                self.place = Some(place);
            }
            Begin::Stored { cursor, newest } => self.start_at(&cursor, newest, &siblings, reader, figures)?,
        }
        Ok(self.place.is_some())
    }

    fn start_at(
        &mut self,
        cursor: &Cursor,
        newest: Option<LogTime>,
        siblings: &[Sibling],
        reader: &mut LineReader,
        figures: &Figures,
    ) -> io::Result<()> {
        if let Some(at) = find(siblings, &cursor.file, reader)? {
            let mut place = Place::new(LogFile::open(&siblings[at])?, 0);
            place.offset = cursor.stdout.min(cursor.stderr);
            // What lies beyond an old file's end is in the files after it; beyond the newest's end there is nothing.
            let end = place.file.end(place.offset)?;
            if at > 0 || place.offset <= end {
                place.offset = place.offset.min(end);
                self.stored = [cursor.stdout, cursor.stderr];
                self.place = Some(place);
                return Ok(());
            }
        }
        self.place = self.oldest_with_news(newest, reader, figures)?.map(|file| Place::new(file, 0));
        Ok(())
    }

    /// Closes entries to which nothing had been added for a while when it was last looked. This process may have stood still
    /// since then, while more was added.
    fn close_quiet(&mut self, part: &mut Part, looked: Instant) {
        for (assembler, active) in [&mut self.stdout, &mut self.stderr].into_iter().zip(self.active) {
            while looked.duration_since(active) >= patience(assembler)
                && let Some(entry) = assembler.close()
            {
                part.extend([entry]);
            }
        }
    }

    /// When the next entry will be complete by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        let open = [&self.stdout, &self.stderr].into_iter().zip(self.active);
        let open = open.filter(|(assembler, _)| assembler.start().is_some());
        open.map(|(assembler, active)| active + patience(assembler)).min()
    }

    /// What open entries hold in memory.
    pub(super) fn open_bytes(&self) -> usize {
        self.stdout.bytes() + self.stderr.bytes()
    }

    /// Completes the open entries at once.
    pub(super) fn close_all(&mut self, part: &mut Part) {
        for assembler in [&mut self.stdout, &mut self.stderr] {
            part.extend(std::iter::from_fn(|| assembler.close()));
        }
    }

    /// Where reading goes on once everything handed out so far is stored; none before the first record is complete.
    pub(super) fn cursor(&mut self, reader: &mut LineReader) -> io::Result<Option<Cursor>> {
        let Some(place) = &mut self.place else { return Ok(None) };
        let read = place.position();
        let stand = |assembler: &Assembler, stored: u64| assembler.start().unwrap_or(read).max(stored);
        let stands = [stand(&self.stdout, self.stored[0]), stand(&self.stderr, self.stored[1])];
        let needed = stands[0].min(stands[1]);
        let id = place.file.id(reader)?;
        debug_assert!(id.first_record.is_some() || needed <= place.base, "a record was read, so there is a first one");
        // What is needed begins in the last file before it. One without a complete record has nothing to be known by.
        let is_needed = |id: FileId, base: u64| id.first_record.is_some() && base <= needed;
        let not_needed = if is_needed(id, place.base) {
            self.left.len()
        } else {
            self.left.iter().rposition(|left| is_needed(left.id, left.base)).unwrap_or(0)
        };
        self.left.drain(..not_needed);
        let (file, path, base) = match self.left.front() {
            Some(left) => (left.id, left.path.clone(), left.base),
            None => (id, place.file.path.display().to_string(), place.base),
        };
        if file.first_record.is_none() {
            return Ok(None);
        }
        let container_id = self.container.id.clone();
        Ok(Some(Cursor { container_id, path, file, stdout: stands[0] - base, stderr: stands[1] - base }))
    }

    /// How much of the log is not stored yet, when so much of it is.
    pub(super) fn unstored_bytes(&self, stored: Option<&Cursor>) -> io::Result<u64> {
        let cursor = match (stored, &self.begin) {
            (Some(cursor), _) | (None, Begin::Stored { cursor, .. }) => Some(cursor),
            (None, Begin::Tail(_) | Begin::Whole) => None,
        };
        let (inode, offset) = cursor.map_or((0, 0), |cursor| (cursor.file.inode, cursor.stdout.min(cursor.stderr)));
        bytes_after(&siblings(&self.container.folder, &self.container.id)?, inode, offset)
    }

    /// Forgets all that is not stored, and reads it again.
    pub(super) fn rewind(&mut self, stored: Option<Cursor>, newest: Option<LogTime>) {
        let container = self.container.clone();
        let begin = stored.map_or_else(|| self.begin.clone(), |cursor| Begin::Stored { cursor, newest });
        *self = Self::new(container, begin);
    }
}

fn patience(assembler: &Assembler) -> Duration {
    if assembler.is_unfinished() { QUIET_UNFINISHED } else { QUIET }
}

fn first_time(line: &Line<'_>) -> Option<LogTime> {
    match line {
        Line::Whole(line) => docker_line::parse(line)?.time,
        Line::Cut { .. } => None,
    }
}

/// Which of the files is the one known as `id`. A hash is believed before an inode, which the system uses again.
fn find(siblings: &[Sibling], id: &FileId, reader: &mut LineReader) -> io::Result<Option<usize>> {
    // A renamed file keeps its inode: most often the first one looked at is the one.
    let (same_inode, others): (Vec<usize>, Vec<usize>) =
        (0..siblings.len()).partition(|at| siblings[*at].inode == id.inode);
    for at in same_inode.into_iter().chain(others) {
        let mut file = LogFile::open(&siblings[at])?;
        let other = file.id(reader)?;
        let is_it = match id.first_record {
            Some(_) => other.first_record == id.first_record,
            None => other.inode == id.inode,
        };
        if is_it {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::path::PathBuf;

    use common::testing::TempDir;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    /// A container's log as Docker keeps it, and the one who reads it.
    struct World {
        folder: TempDir,
        reader: LineReader,
        figures: Figures,
        follower: Follower,
        /// What survives a crash.
        cursor: Option<Cursor>,
        stored: Vec<NewEntry>,
        written: [Vec<String>; 2],
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write { stderr: bool, indented: bool, parts: u8 },
        WriteHalf,
        Rotate { compressed: bool },
        Poll,
        PollInVain,
        Crash,
    }

    impl World {
        fn new(begin: Begin) -> Self {
            let folder = TempDir::new();
            let follower = Follower::new(container(&folder), begin);
            let (reader, figures) = (LineReader::new(), Figures::default());
            Self { folder, reader, figures, follower, cursor: None, stored: Vec::new(), written: Default::default() }
        }

        fn path(&self, suffix: &str) -> PathBuf {
            self.folder.path().join(format!("c-json.log{suffix}"))
        }

        fn append(&self, text: &str) {
            let mut file = File::options().create(true).append(true).open(self.path("")).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        }

        fn write(&mut self, stream: Stream, line: &str, parts: usize) {
            let number = self.written[0].len() + self.written[1].len();
            let cut = line.len() / parts;
            for part in 0..parts {
                let end = if part + 1 == parts { line.len() } else { (part + 1) * cut };
                let newline = if part + 1 == parts { "\\n" } else { "" };
                self.append(&record(stream, &format!("{}{newline}", &line[part * cut..end]), number));
            }
            self.written[stream as usize].push(line.to_owned());
        }

        fn rotate(&self, compressed: bool) {
            if !self.path("").exists() {
                return;
            }
            for age in (1..20).rev() {
                for suffix in ["", ".gz"] {
                    let old = self.path(&format!(".{age}{suffix}"));
                    if old.exists() {
                        fs::rename(old, self.path(&format!(".{}{suffix}", age + 1))).expect("renamed");
                    }
                }
            }
            fs::rename(self.path(""), self.path(".1")).expect("renamed");
            File::create(self.path("")).expect("a file");
            if compressed {
                let mut encoder =
                    GzEncoder::new(File::create(self.path(".1.gz")).expect("a file"), Compression::fast());
                encoder.write_all(&fs::read(self.path(".1")).expect("readable")).expect("written");
                encoder.finish().expect("written");
                fs::remove_file(self.path(".1")).expect("removed");
            }
        }

        /// Reads to the end; entries and cursor are stored together, part by part.
        fn poll(&mut self) {
            loop {
                let mut part = Part::new();
                let now = LogTime::from_nanos(0);
                let more = self.follower.read(&mut self.reader, now, &mut part, &self.figures).expect("readable");
                self.store(part);
                if !more {
                    return;
                }
            }
        }

        fn store(&mut self, part: Part) {
            let cursor = self.follower.cursor(&mut self.reader).expect("readable");
            assert!(cursor.is_some() || part.entries.is_empty(), "entries without a cursor");
            self.cursor = cursor.or(self.cursor.take());
            self.stored.extend(part.entries);
        }

        fn newest(&self) -> Option<LogTime> {
            self.stored.iter().map(|entry| entry.time).max()
        }

        fn forget(&mut self) {
            self.follower.rewind(self.cursor.clone(), self.newest());
        }

        fn step(&mut self, step: &Step) {
            match step {
                Step::Write { stderr, indented, parts } => {
                    let number = self.written[0].len() + self.written[1].len();
                    let indent = if *indented { "  " } else { "" };
                    let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
                    self.write(stream, &format!("{indent}line {number}"), usize::from(*parts));
                }
                Step::WriteHalf => {
                    let number = self.written[0].len() + self.written[1].len();
                    let text = record(Stream::Stdout, &format!("half {number}\\n"), number);
                    let (start, end) = text.split_at(text.len() / 2);
                    self.append(start);
                    self.poll();
                    self.append(end);
                    self.written[0].push(format!("half {number}"));
                }
                Step::Rotate { compressed } => self.rotate(*compressed),
                Step::Poll => self.poll(),
                Step::PollInVain => {
                    let mut part = Part::new();
                    let now = LogTime::from_nanos(0);
                    self.follower.read(&mut self.reader, now, &mut part, &self.figures).expect("readable");
                    self.forget();
                }
                Step::Crash => self.forget(),
            }
        }

        fn finish(&mut self) {
            self.poll();
            let mut part = Part::new();
            self.follower.close_all(&mut part);
            self.store(part);
        }

        fn lines(&self, stream: Stream) -> Vec<String> {
            let entries = self.stored.iter().filter(|entry| entry.stream == stream);
            entries.flat_map(|entry| entry.message.split('\n').map(str::to_owned)).collect()
        }
    }

    fn container(folder: &TempDir) -> Container {
        Container { id: "c".into(), name: "web".into(), created: None, folder: folder.path().to_owned() }
    }

    fn record(stream: Stream, log: &str, number: usize) -> String {
        let stream = stream.name();
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"2026-01-01T00:00:00.{number:09}Z\"}}\n")
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<bool>(), any::<bool>(), 1u8..4)
                .prop_map(|(stderr, indented, parts)| Step::Write { stderr, indented, parts }),
            1 => Just(Step::WriteHalf),
            2 => any::<bool>().prop_map(|compressed| Step::Rotate { compressed }),
            3 => Just(Step::Poll),
            1 => Just(Step::PollInVain),
            2 => Just(Step::Crash),
        ]
    }

    proptest! {
        #[test]
        fn every_line_is_stored_once_in_order(steps in proptest::collection::vec(step(), 1..40)) {
            let mut world = World::new(Begin::Whole);
            for step in &steps {
                world.step(step);
            }
            world.finish();
            for stream in [Stream::Stdout, Stream::Stderr] {
                prop_assert_eq!(world.lines(stream), world.written[stream as usize].clone());
            }
            prop_assert_eq!(world.figures.gaps.get(), 0);
        }
    }

    #[test]
    fn an_emptied_file_is_read_from_its_start() {
        let mut world = World::new(Begin::Whole);
        world.write(Stream::Stdout, "before, and much longer", 1);
        world.poll();
        File::create(world.path("")).expect("emptied");
        world.write(Stream::Stdout, "after", 1);
        world.finish();
        assert_eq!(world.lines(Stream::Stdout), world.written[0]);
        assert_eq!(world.figures.truncated.get(), 1);
    }

    #[test]
    fn an_emptied_file_is_noticed_after_a_restart() {
        for crash_first in [true, false] {
            let mut world = World::new(Begin::Whole);
            world.write(Stream::Stdout, "before, and much longer", 1);
            world.rotate(true);
            world.write(Stream::Stdout, "between", 1);
            world.finish();
            if crash_first {
                world.forget();
            }
            File::create(world.path("")).expect("emptied");
            world.write(Stream::Stdout, "after", 1);
            world.forget();
            world.finish();
            assert_eq!(world.lines(Stream::Stdout), world.written[0], "nothing twice");
        }
    }

    #[test]
    fn files_deleted_unread_are_a_gap_and_the_rest_is_read() {
        let mut world = World::new(Begin::Whole);
        world.write(Stream::Stdout, "read", 1);
        world.finish();
        world.rotate(false);
        world.write(Stream::Stdout, "lost", 1);
        world.rotate(false);
        world.write(Stream::Stdout, "kept", 1);
        world.rotate(true);
        world.write(Stream::Stdout, "new", 1);
        fs::remove_file(world.path(".3")).expect("removed");
        fs::remove_file(world.path(".2")).expect("removed");
        world.finish();
        assert_eq!(world.lines(Stream::Stdout), ["read", "kept", "new"]);
        assert_eq!(world.figures.gaps.get(), 1);
    }

    #[test]
    fn what_was_there_before_us_is_read_from_near_its_end() {
        let first = record(Stream::Stdout, "line 0\\n", 0).len() as u64;
        for (bytes, expected) in [(0, 0), (1, 0), (first, 1), (first + 1, 1), (first * 2, 2), (1 << 40, 3)] {
            let mut world = World::new(Begin::Tail(bytes));
            for number in 0..3 {
                world.write(Stream::Stdout, &format!("line {number}"), 1);
            }
            world.poll();
            world.forget();
            world.write(Stream::Stdout, "line 3", 1);
            world.finish();
            assert_eq!(world.lines(Stream::Stdout), world.written[0][3 - expected..], "{bytes} bytes");
        }
    }

    #[test]
    fn last_words_without_a_newline_are_an_entry_after_a_quiet_second() {
        let mut world = World::new(Begin::Whole);
        world.append(&record(Stream::Stdout, "dying words", 0));
        world.poll();
        assert!(world.stored.is_empty());
        world.follower.active = [Instant::now().checked_sub(QUIET_UNFINISHED).expect("a machine that runs longer"); 2];
        world.poll();
        assert_eq!(world.lines(Stream::Stdout), ["dying words"]);
        world.forget();
        world.finish();
        assert_eq!(world.stored.len(), 1, "nothing twice");
    }

    #[test]
    fn a_trace_that_is_not_at_its_end_waits_for_it_as_a_line_does() {
        let mut world = World::new(Begin::Whole);
        let ago = |time: Duration| Instant::now().checked_sub(time).expect("a machine that runs longer");
        let mut print = |line: &str, quiet: Duration| {
            world.append(&record(Stream::Stderr, &format!("{line}\\n"), 0));
            world.poll();
            world.follower.active = [ago(quiet); 2];
            world.poll();
            world.stored.len()
        };
        assert_eq!(print("thread 'main' (7) panicked at src/main.rs:3:5:", QUIET), 0);
        assert_eq!(print("index out of bounds", QUIET), 0);
        assert_eq!(print("stack backtrace:", QUIET), 0);
        assert_eq!(print("   0: rust_begin_unwind", QUIET_UNFINISHED), 1);
        assert_eq!(print("a line of its own", QUIET), 2);
        assert_eq!(world.stored[0].message.lines().count(), 4);
    }

    #[test]
    fn a_line_whose_end_came_while_this_process_stood_still_is_one_entry() {
        let mut world = World::new(Begin::Whole);
        world.append(&record(Stream::Stdout, "begun ", 0));
        let looked = Instant::now().checked_sub(QUIET_UNFINISHED).expect("a machine that runs longer");
        let moment = Moment { at: looked, time: LogTime::from_nanos(0) };
        let mut part = Part::new();
        world.follower.start(&mut world.reader, &world.figures).expect("a log");
        world.follower.read_file(&mut world.reader, moment, &mut part, &world.figures).expect("readable");
        // It looked, then it was stopped: the end came, and only now it goes on.
        world.append(&record(Stream::Stdout, "and ended\\n", 0));
        world.follower.close_quiet(&mut part, looked);
        world.store(part);
        world.finish();
        assert_eq!(world.lines(Stream::Stdout), ["begun and ended"]);
    }
}
