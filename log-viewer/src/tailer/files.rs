//! The files of one container's log: `ID-json.log`, and the older ones that rotation has numbered and perhaps compressed.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::{DirEntryExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::lines::{Line, LineReader, RECORD_BYTES_MAX, ReadAt};
use crate::cursor::FileId;

/// Older files than this are not looked for; Docker's `max-file` is seldom over ten.
const AGE_MAX: u32 = 1000;
/// What was unpacked lately and can be read again: all that a reader may have read ahead.
const WINDOW_BYTES: usize = RECORD_BYTES_MAX;
/// One read of a compressed file.
const GZ_READ_BYTES: usize = 16 << 10;

/// How often the files are listed until two lists agree; a rotation takes less than one list.
const LISTS_MAX: usize = 20;

/// A log file that exists under this name at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sibling {
    /// 0 for the one Docker writes to, then the number in its name.
    pub(super) age: u32,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    is_compressed: bool,
}

/// The files of a container's log, the newest first, as they were at one moment.
///
/// A folder is not listed at one moment: a file that is renamed meanwhile may be missing, or be there twice. So two lists
/// must agree. When they do not, that is [`ErrorKind::NotFound`]: the caller looks again later.
pub(super) fn siblings(folder: &Path, id: &str) -> io::Result<Vec<Sibling>> {
    let mut before = list(folder, id)?;
    for _ in 1..LISTS_MAX {
        let now = list(folder, id)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(io::Error::new(ErrorKind::NotFound, "its files are renamed all the time"))
}

fn list(folder: &Path, id: &str) -> io::Result<Vec<Sibling>> {
    let current = format!("{id}-json.log");
    let mut found: Vec<Sibling> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, inode) = (entry.path(), entry.ino());
        let Some(rest) = path.file_name().and_then(|name| name.to_str()?.strip_prefix(&current)) else { continue };
        let (number, is_compressed) = rest.strip_suffix(".gz").map_or((rest, false), |number| (number, true));
        let age = match number.strip_prefix('.').map(str::parse) {
            None if rest.is_empty() => 0,
            Some(Ok(age)) if age <= AGE_MAX => age,
            _ => continue,
        };
        found.push(Sibling { age, path, inode, is_compressed });
    }
    // While a file is being compressed both are there, and only the plain one is whole.
    found.sort_by_key(|sibling| (sibling.age, sibling.is_compressed));
    found.dedup_by_key(|sibling| sibling.age);
    Ok(found)
}

/// How many bytes come after the first `offset` of the file with this inode; of compressed files, as they are on disk. When
/// that file was compressed or deleted meanwhile, those of the newest file alone.
pub(super) fn bytes_after(siblings: &[Sibling], inode: u64, offset: u64) -> io::Result<u64> {
    let (count, read) = match siblings.iter().position(|sibling| sibling.inode == inode) {
        Some(at) => (at + 1, offset),
        None => (1, 0),
    };
    let lengths = siblings.iter().take(count).map(|sibling| fs::metadata(&sibling.path).map(|meta| meta.len()));
    Ok(lengths.sum::<io::Result<u64>>()?.saturating_sub(read))
}

/// An open log file. It stays readable when it is renamed or deleted.
pub(super) struct LogFile {
    source: Source,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// A hash of the first record once that is complete.
    first_record: Option<u64>,
}

enum Source {
    Plain(File),
    Compressed(Box<Unpacked>),
}

impl LogFile {
    /// [`ErrorKind::NotFound`] when it has another name by now.
    pub(super) fn open(sibling: &Sibling) -> io::Result<Self> {
        let file = File::open(&sibling.path)?;
        let meta = file.metadata()?;
        if meta.ino() != sibling.inode {
            return Err(io::Error::new(ErrorKind::NotFound, "it was renamed"));
        }
        if !meta.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a file"));
        }
        let source =
            if sibling.is_compressed { Source::Compressed(Box::new(Unpacked::new(file))) } else { Source::Plain(file) };
        Ok(Self { source, path: sibling.path.clone(), inode: meta.ino(), first_record: None })
    }

    /// Whether nothing can be added any more, as far as the file itself shows.
    pub(super) const fn is_compressed(&self) -> bool {
        matches!(self.source, Source::Compressed(_))
    }

    /// How long it is now; none for a compressed one, whose length is known only at its end.
    pub(super) fn length(&self) -> io::Result<Option<u64>> {
        match &self.source {
            Source::Plain(file) => file.metadata().map(|meta| Some(meta.len())),
            Source::Compressed(_) => Ok(None),
        }
    }

    /// Where it ends; for a compressed one, if that is before `offset`, else some place from there on.
    pub(super) fn end(&mut self, offset: u64) -> io::Result<u64> {
        match &mut self.source {
            Source::Plain(file) => file.metadata().map(|meta| meta.len()),
            Source::Compressed(unpacked) => {
                unpacked.read_at(offset, &mut [0])?;
                Ok(unpacked.end)
            }
        }
    }

    /// What to know it by later. A file that is complete may end without a newline.
    pub(super) fn id(&mut self, reader: &mut LineReader) -> io::Result<FileId> {
        if self.first_record.is_none() {
            let is_complete = self.is_compressed();
            self.first_record = reader.first_line(self, is_complete, |line| match line {
                Line::Whole(line) => hash(line),
                Line::Cut { head, .. } => hash(head),
            })?;
        }
        Ok(FileId { inode: self.inode, first_record: self.first_record })
    }

    /// Whether another file has taken its place at `path`; none when there is no file at this moment.
    pub(super) fn is_replaced(&self, path: &Path) -> io::Result<Option<bool>> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.ino() != self.inode)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ReadAt for LogFile {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Plain(file) => file.read_at(into, offset),
            Source::Compressed(unpacked) => unpacked.read_at(offset, into),
        }
    }
}

/// A compressed file, unpacked forwards. A short way back is remembered; for a longer one it starts anew.
struct Unpacked {
    decoder: MultiGzDecoder<BufReader<File>>,
    /// The last bytes unpacked, at most [`WINDOW_BYTES`] and one read.
    window: Vec<u8>,
    /// How many bytes were unpacked so far.
    end: u64,
}

impl Unpacked {
    fn new(file: File) -> Self {
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(GZ_READ_BYTES, file));
        Self { decoder, window: Vec::new(), end: 0 }
    }

    fn rewind(&mut self) -> io::Result<()> {
        use std::io::Seek as _;
        let mut file = self.decoder.get_ref().get_ref().try_clone()?;
        file.rewind()?;
        *self = Self::new(file);
        Ok(())
    }

    /// Unpacks a piece more; false at the end.
    fn unpack(&mut self) -> io::Result<bool> {
        let excess = self.window.len().saturating_sub(WINDOW_BYTES);
        self.window.drain(..excess);
        let before = self.window.len();
        self.window.resize(before + GZ_READ_BYTES, 0);
        let count = self.decoder.read(&mut self.window[before..]);
        let taken = count.as_ref().copied().unwrap_or(0);
        self.window.truncate(before + taken);
        self.end += taken as u64;
        count.map(|count| count > 0)
    }
}

impl ReadAt for Unpacked {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if offset < self.end - self.window.len() as u64 {
            self.rewind()?;
        }
        while self.end <= offset {
            if !self.unpack()? {
                return Ok(0);
            }
        }
        let at = self.window.len() - (self.end - offset) as usize;
        let count = into.len().min(self.window.len() - at);
        into[..count].copy_from_slice(&self.window[at..at + count]);
        Ok(count)
    }
}

/// FNV-1a (Fowler, Noll, Vo): the same on every machine and in every version, as a stored hash must be.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use common::testing::TempDir;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write(path: &Path, text: &[u8], compressed: bool) {
        if compressed {
            let mut encoder = GzEncoder::new(File::create(path).expect("a file"), Compression::fast());
            encoder.write_all(text).expect("written");
            encoder.finish().expect("written");
        } else {
            fs::write(path, text).expect("written");
        }
    }

    fn sibling(age: u32, path: PathBuf, is_compressed: bool) -> Sibling {
        let inode = fs::metadata(&path).expect("a file").ino();
        Sibling { age, path, inode, is_compressed }
    }

    #[test]
    fn a_file_that_took_the_name_of_another_is_not_taken_for_it() {
        let folder = TempDir::new();
        write(&folder.path().join("c-json.log"), b"old\n", false);
        let before = siblings(folder.path(), "c").expect("a folder");
        fs::rename(folder.path().join("c-json.log"), folder.path().join("c-json.log.1")).expect("renamed");
        write(&folder.path().join("c-json.log"), b"new\n", false);
        let error = LogFile::open(&before[0]).err().expect("another file");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn siblings_are_found_by_age_and_plain_ones_are_preferred() {
        let folder = TempDir::new();
        for name in ["c-json.log", "c-json.log.1", "c-json.log.1.gz", "c-json.log.2.gz", "c-json.log.10.gz"] {
            write(&folder.path().join(name), b"x\n", false);
        }
        for name in ["c-json.log.x", "c-json.log.gz", "c-json.log.1.gz.tmp", "d-json.log", "config.v2.json"] {
            write(&folder.path().join(name), b"x\n", false);
        }
        let names: Vec<_> = siblings(folder.path(), "c").expect("a folder");
        let names: Vec<_> = names.iter().map(|sibling| sibling.path.file_name().expect("a name").to_owned()).collect();
        assert_eq!(names, ["c-json.log", "c-json.log.1", "c-json.log.2.gz", "c-json.log.10.gz"]);
    }

    #[test]
    fn what_is_not_stored_is_the_rest_of_a_file_and_all_younger_ones() {
        let folder = TempDir::new();
        for (name, bytes) in [("c-json.log", 5), ("c-json.log.1", 10), ("c-json.log.2", 20)] {
            write(&folder.path().join(name), &vec![b'x'; bytes], false);
        }
        let siblings = siblings(folder.path(), "c").expect("a folder");
        let after = |age: usize, offset| bytes_after(&siblings, siblings[age].inode, offset).expect("readable");
        assert_eq!([after(0, 0), after(0, 5), after(1, 4), after(1, 12), after(2, 1)], [5, 0, 11, 3, 34]);
        assert_eq!(after(1, 99), 0);
        assert_eq!(bytes_after(&siblings, 0, 99).expect("readable"), 5, "the file is not there any more");
        assert_eq!(bytes_after(&[], 0, 0).expect("readable"), 0);
    }

    #[test]
    fn a_file_is_known_again_after_it_was_renamed_and_compressed() {
        let folder = TempDir::new();
        let mut reader = LineReader::new();
        let mut id = |age, is_compressed: bool, name: &str| {
            let path = folder.path().join(name);
            let mut file = LogFile::open(&sibling(age, path, is_compressed)).expect("a file");
            file.id(&mut reader).expect("readable")
        };
        write(&folder.path().join("a"), b"first", false);
        assert_eq!(id(0, false, "a").first_record, None, "the first record is not complete");
        write(&folder.path().join("a"), b"first\nsecond\n", false);
        write(&folder.path().join("b"), b"first\nsecond\n", true);
        write(&folder.path().join("c"), b"second\nfirst\n", true);
        let [a, b, c] = [id(0, false, "a"), id(1, true, "b"), id(2, true, "c")];
        assert!(a.first_record.is_some() && a.inode != b.inode);
        assert_eq!(a.first_record, b.first_record);
        assert_ne!(a.first_record, c.first_record);
    }

    #[test]
    fn a_compressed_file_is_read_at_any_place() {
        let folder = TempDir::new();
        let text: Vec<u8> = (0..3 * WINDOW_BYTES as u32).flat_map(u32::to_le_bytes).collect();
        let path = folder.path().join("a");
        write(&path, &text, true);
        let mut file = LogFile::open(&sibling(1, path, true)).expect("a file");
        for offset in [0, 5, 400_000, 390_000, 10, text.len() - 3, text.len(), text.len() + 9] {
            let mut into = [0; 1000];
            let count = file.read_at(offset as u64, &mut into).expect("readable");
            let expected = text.get(offset..).unwrap_or_default();
            assert!(expected.starts_with(&into[..count]));
            assert_eq!(count == 0, expected.is_empty());
        }
    }
}
