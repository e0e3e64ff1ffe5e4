//! Writes container folders as Docker does, and logs as its json-file driver does (Engine 20.10): escapes, records of
//! long lines, times, rotation, compression. Checked byte by byte against what a real engine wrote.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use common::clock::Timestamp;
use flate2::{Compression, GzBuilder};
use serde_json::json;

/// The size of the buffer Docker copies a program's output with; what fills it without a newline is a record of its own.
pub(crate) const PIECE_BYTES: usize = 16 << 10;
/// In the environment of every container. Nobody may ever see it.
pub(crate) const SECRET: &str = "hunter2-not-for-logs";

/// Docker's folder of containers.
#[derive(Clone)]
pub(crate) struct Docker {
    pub(crate) folder: PathBuf,
}

impl Docker {
    /// Makes the folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// Creates a container that logs without rotation.
    pub(crate) fn container(&self, name: &str) -> Container {
        self.container_with(name, LogOptions::default())
    }

    /// Creates a container with these log options.
    pub(crate) fn container_with(&self, name: &str, options: LogOptions) -> Container {
        let container = Container::new(self.folder.join(new_id()), name, options);
        container.write_config("json-file");
        container
    }

    /// Creates a container whose log driver is another one.
    pub(crate) fn container_of_driver(&self, name: &str, driver: &str) -> Container {
        let container = Container::new(self.folder.join(new_id()), name, LogOptions::default());
        container.write_config(driver);
        fs::remove_file(container.path()).unwrap();
        container
    }
}

/// 64 hexadecimal digits, another each time, also in another run.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mixed = (number << 32 | u64::from(std::process::id())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}{:016x}{number:032x}", nanos_now())
}

/// `max-size`, `max-file` and `compress`.
#[derive(Clone, Copy)]
pub(crate) struct LogOptions {
    /// None: no rotation.
    pub(crate) size_max: Option<u64>,
    /// With the current one.
    pub(crate) files_max: u32,
    pub(crate) compress: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { size_max: None, files_max: 1, compress: false }
    }
}

impl LogOptions {
    /// The options of a container whose log is rotated.
    pub(crate) const fn rotated(size_max: u64, files_max: u32, compress: bool) -> Self {
        Self { size_max: Some(size_max), files_max, compress }
    }

    fn as_json(self) -> serde_json::Value {
        match self.size_max {
            None => json!({}),
            Some(size) => json!({
                "compress": self.compress.to_string(), "max-file": self.files_max.to_string(), "max-size": size.to_string()
            }),
        }
    }
}

/// Where a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A container with its folder and its log.
pub(crate) struct Container {
    folder: PathBuf,
    name: String,
    options: LogOptions,
    log: File,
    size: u64,
    last_time: u64,
    /// Still at work on `.1`; the next rotation waits for it, as Docker's does.
    compression: Option<JoinHandle<()>>,
    /// How many files Docker deleted because there were too many.
    pub(crate) deleted: u32,
}

impl Container {
    fn new(folder: PathBuf, name: &str, options: LogOptions) -> Self {
        fs::create_dir(&folder).unwrap();
        let log = OpenOptions::new().append(true).create_new(true).mode(0o640).open(log_path(&folder)).unwrap();
        Self { folder, name: name.to_owned(), options, log, size: 0, last_time: 0, compression: None, deleted: 0 }
    }

    /// The id, which is also the folder's name.
    pub(crate) fn id(&self) -> &str {
        self.folder.file_name().unwrap().to_str().unwrap()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The current log file.
    pub(crate) fn path(&self) -> PathBuf {
        log_path(&self.folder)
    }

    /// An older log file, `.1` being the youngest.
    pub(crate) fn old_path(&self, number: u32, compressed: bool) -> PathBuf {
        numbered(&self.path(), number, compressed)
    }

    /// The program writes a line.
    pub(crate) fn stdout(&mut self, line: impl AsRef<[u8]>) {
        self.line(Stream::Stdout, line);
    }

    /// The program writes a line to stderr.
    pub(crate) fn stderr(&mut self, line: impl AsRef<[u8]>) {
        self.line(Stream::Stderr, line);
    }

    /// The program writes a line.
    pub(crate) fn line(&mut self, stream: Stream, line: impl AsRef<[u8]>) {
        let time = self.time();
        for record in records(line.as_ref(), true, stream, time) {
            self.record(&record);
        }
    }

    /// The program ends in the middle of a line.
    pub(crate) fn dying_words(&mut self, stream: Stream, words: &str) {
        let time = self.time();
        for record in records(words.as_bytes(), false, stream, time) {
            self.record(&record);
        }
    }

    /// Writes bytes as a record, after a rotation when one is due.
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        if self.options.size_max.is_some_and(|most| self.size >= most) {
            self.rotate();
        }
        self.raw(bytes);
    }

    /// Writes bytes, whatever they are, and rotates nothing.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.log.write_all(bytes).unwrap();
        self.size += bytes.len() as u64;
    }

    /// Closes the log, shifts the old ones, deletes the oldest, and goes on in a new one.
    pub(crate) fn rotate(&mut self) {
        self.wait_for_compression();
        let path = self.path();
        if self.options.files_max > 1 {
            let (oldest, compress) = (self.options.files_max - 1, self.options.compress);
            self.deleted += u32::from(fs::remove_file(numbered(&path, oldest, compress)).is_ok());
            for number in (1..oldest).rev() {
                rename(&numbered(&path, number, compress), &numbered(&path, number + 1, compress));
            }
            rename(&path, &numbered(&path, 1, false));
        }
        self.log = OpenOptions::new().write(true).truncate(true).create(true).mode(0o640).open(&path).unwrap();
        self.size = 0;
        if self.options.compress && self.options.files_max > 1 {
            let (old, time) = (numbered(&path, 1, false), format_time(self.last_time));
            self.compression = Some(thread::spawn(move || compress(&old, &time)));
        }
    }

    /// Whether all files it may have are there, but for the one that leaves room for what is just being written.
    pub(crate) fn is_full(&self) -> bool {
        let most = self.options.files_max;
        most > 2 && [false, true].iter().any(|compressed| self.old_path(most - 2, *compressed).exists())
    }

    /// Waits until the last rotation is over.
    pub(crate) fn wait_for_compression(&mut self) {
        if let Some(compression) = self.compression.take() {
            compression.join().unwrap();
        }
    }

    /// Somebody empties the log, as `truncate --size 0` does. Docker goes on where it was: at the end of its first file,
    /// but behind a hole of zeros in one that a rotation opened.
    pub(crate) fn truncate(&mut self) {
        self.log.set_len(0).unwrap();
        self.size = 0;
    }

    /// `docker rename`
    pub(crate) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.write_config("json-file");
    }

    /// `docker rm`
    pub(crate) fn remove(mut self) {
        self.wait_for_compression();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Later than the one before, so that order can be told by time.
    fn time(&mut self) -> u64 {
        self.last_time = nanos_now().max(self.last_time + 1);
        self.last_time
    }

    /// Docker replaces the file as a whole.
    fn write_config(&self, driver: &str) {
        let (id, log) = (self.id(), self.path());
        let log = if driver == "json-file" { log.to_str().unwrap() } else { "" };
        let config = json!({
            "StreamConfig": {}, "State": {"Running": true, "Pid": 4711, "StartedAt": "2026-11-23T02:12:51.261813618Z"},
            "ID": id, "Created": "2026-11-23T02:12:51.014471103Z", "Managed": false, "Path": "/w", "Args": [],
            "Config": {"Hostname": &id[..12], "Env": [format!("SECRET={SECRET}"), "PATH=/bin"], "Image": "app",
                "Labels": {"note": "\"Name\":\"/not-this-one\""}},
            "LogPath": log, "Name": format!("/{}", self.name), "Driver": "overlay2", "OS": "linux", "RestartCount": 0,
        });
        let host = json!({"LogConfig": {"Type": driver, "Config": self.options.as_json()}, "NetworkMode": "default"});
        replace(&self.folder.join("hostconfig.json"), host.to_string().as_bytes());
        replace(&self.folder.join("config.v2.json"), config.to_string().as_bytes());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.wait_for_compression();
    }
}

/// What the driver writes for one line of a program: one record, or several where it is long.
pub(crate) fn records(line: &[u8], has_end: bool, stream: Stream, nanos: u64) -> Vec<Vec<u8>> {
    let mut pieces: Vec<&[u8]> = line.chunks(PIECE_BYTES).collect();
    // The newline has to fit as well.
    if pieces.last().is_none_or(|piece| piece.len() == PIECE_BYTES) && has_end {
        pieces.push(b"");
    }
    let last = pieces.len().saturating_sub(1);
    let end = |number| if number == last && has_end { "\\n" } else { "" };
    let (stream, time) = (stream.name(), format_time(nanos));
    let record = |(number, piece): (usize, &&[u8])| {
        let mut record = b"{\"log\":\"".to_vec();
        escape(piece, &mut record);
        record
            .extend_from_slice(format!("{}\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n", end(number)).as_bytes());
        record
    };
    pieces.iter().enumerate().map(record).collect()
}

/// JSON as Docker's own encoder writes it: HTML escaped, no short form but three, bad bytes replaced one by one.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend([b'\\', c as u8]),
                '\n' => out.extend(b"\\n"),
                '\r' => out.extend(b"\\r"),
                '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.extend(format!("\\u{:04x}", u32::from(c)).as_bytes());
                }
                _ => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.extend(b"\\ufffd".repeat(chunk.invalid().len()));
    }
}

/// RFC 3339 with nanoseconds, without the zeros at the end.
fn format_time(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = Timestamp::from_millis(i64::try_from(nanos / SECOND * 1000).unwrap()).with_millis();
    let (seconds, _) = seconds.split_at("2026-11-23T02:12:51".len());
    let fraction = format!(".{:09}", nanos % SECOND);
    format!("{seconds}{}Z", fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[expect(clippy::disallowed_methods, reason = "stands in for Docker, which asks the system")]
fn nanos_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join(format!("{}-json.log", folder.file_name().unwrap().to_str().unwrap()))
}

fn numbered(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let end = if compressed { ".gz" } else { "" };
    PathBuf::from(format!("{}.{number}{end}", path.display()))
}

fn rename(from: &Path, to: &Path) {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", from.display()),
        _ => {}
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    let fresh = path.with_extension("tmp");
    fs::write(&fresh, bytes).unwrap();
    fs::rename(&fresh, path).unwrap();
}

/// Docker writes `.1.gz` in place, not at once, and deletes `.1` when it is complete.
fn compress(old: &Path, last_time: &str) {
    let target = PathBuf::from(format!("{}.gz", old.display()));
    let extra = format!("{{\"lastTime\":\"{last_time}\"}}");
    let mut file = GzBuilder::new().extra(extra).write(File::create(target).unwrap(), Compression::default());
    for piece in fs::read(old).unwrap().chunks(32 << 10) {
        file.write_all(piece).unwrap();
        // Long enough for a reader to see a half-written file now and then.
        thread::sleep(Duration::from_millis(1));
    }
    file.finish().unwrap();
    fs::remove_file(old).unwrap();
}

/// Reads a file of the real engine.
fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `sample-program` in `tests/docker/README.md` wrote comes out of this driver as it came out of the real one.
#[test]
fn records_are_those_of_a_real_engine() {
    let theirs = sample("real.log");
    let mut ours = Vec::new();
    let mut line = (Vec::new(), String::new());
    for record in theirs.split_inclusive(|byte| *byte == b'\n') {
        let fields: serde_json::Value = serde_json::from_slice(record).unwrap();
        let (log, time) = (fields["log"].as_str().unwrap(), fields["time"].as_str().unwrap());
        line.0.extend_from_slice(log.as_bytes());
        time.clone_into(&mut line.1);
        if log.ends_with('\n') || log == "no newline at end" {
            let stream = if fields["stream"] == "stdout" { Stream::Stdout } else { Stream::Stderr };
            let text = line.0.strip_suffix(b"\n");
            ours.extend(records(text.unwrap_or(&line.0), text.is_some(), stream, parse_time(&line.1)).concat());
            line.0.clear();
        }
    }
    // Bad bytes are gone once decoded: the real engine wrote an escape, this test cannot know for which byte.
    let theirs = String::from_utf8(theirs).unwrap().replace("\\ufffd", "\u{fffd}");
    assert_eq!(String::from_utf8(ours).unwrap(), theirs);
}

fn parse_time(text: &str) -> u64 {
    let (seconds, fraction) = text.trim_end_matches('Z').split_once('.').unwrap_or((text, "0"));
    let millis = Timestamp::parse(&format!("{}Z", seconds.trim_end_matches('Z'))).unwrap().millis();
    u64::try_from(millis).unwrap() * 1_000_000 + format!("{fraction:0<9}").parse::<u64>().unwrap()
}

#[test]
fn bytes_are_escaped_one_by_one() {
    let mut out = Vec::new();
    escape("quote \" \\ tab\t \u{7f} \u{b}\u{2028}é".as_bytes(), &mut out);
    escape(b"\xff\xe2\x82<", &mut out);
    let expected = "quote \\\" \\\\ tab\\u0009 \u{7f} \\u000b\\u2028é\\ufffd\\ufffd\\ufffd\\u003c";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_line_that_fills_the_buffer_ends_in_a_record_of_its_own() {
    for (length, count) in [(0, 1), (PIECE_BYTES - 1, 1), (PIECE_BYTES, 2), (PIECE_BYTES + 1, 2), (2 * PIECE_BYTES, 3)]
    {
        assert_eq!(records(&vec![b'x'; length], true, Stream::Stdout, 1).len(), count, "{length}");
    }
}

#[test]
fn files_are_rotated_as_by_a_real_engine() {
    let folder = common::testing::TempDir::new();
    let mut container = Docker::new(folder.path().join("c")).container_with("w", LogOptions::rotated(1000, 3, true));
    for number in 0..100 {
        container.stdout(format!("line {number}"));
    }
    container.wait_for_compression();
    let names =
        fs::read_dir(container.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut logs: Vec<_> = names.filter(|name| name.contains("-json.log")).collect();
    logs.sort();
    let log = format!("{}-json.log", container.id());
    assert_eq!(logs, [log.clone(), format!("{log}.1.gz"), format!("{log}.2.gz")]);
    assert!(container.deleted > 3, "{}", container.deleted);
    // As the real one begins: no name, no time, the last time as an extra field.
    let old = fs::read(container.old_path(1, true)).unwrap();
    assert_eq!(&old[..4], b"\x1f\x8b\x08\x04");
    assert!(old[12..].starts_with(b"{\"lastTime\":\"20"), "{old:?}");
}
