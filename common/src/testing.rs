//! For tests: the real binary on a free port with a database of its own, and a plain HTTP client.

pub mod database;
pub mod docker_logs;
pub mod docs;
pub mod figures;
pub mod openapi;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The API key of every service under test.
pub const KEY: &str = "a-key-for-tests";

/// How long anything in a test may take before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives a value.
///
/// # Panics
/// When it does not within [`PATIENCE`]; says what was awaited.
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, condition)
}

/// The same with another patience: how long a bench's work takes is what it measures.
#[track_caller]
pub fn wait_up_to<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder that is removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new, empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("monlight-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What is left in the system's temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Says that something was left out; an error where the machine is known to have it.
#[track_caller]
pub fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{what}");
    eprintln!("{what}");
}

/// Small and repeatable; the seed is printed, and taken from `SEED` when that is set.
pub struct Random(u64);

impl Random {
    /// With a new seed.
    pub fn new() -> Self {
        let given = std::env::var_os("SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one("seed") | 1);
        eprintln!("SEED={seed}");
        Self(seed)
    }

    /// Another one, decided by this one's seed.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number() | 1)
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// xorshift64
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

/// A file system of a few megabytes.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// None where this user may not mount; says so, and fails where it must not be missing.
    pub fn mount() -> Option<Self> {
        Self::mount_of(4)
    }

    /// The same of another size.
    pub fn mount_of(megabytes: u32) -> Option<Self> {
        let folder = TempDir::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0755"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        skip("a full disk was NOT tested: a small tmpfs can only be mounted by root");
        None
    }

    /// Where it is mounted.
    pub const fn folder(&self) -> &TempDir {
        &self.folder
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        let error = loop {
            if let Err(error) = filler.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("it was full");
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted goes with the machine.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// The binary that users get when `MONLIGHT_BIN_DIR` says where it is (`make test` does), else cargo's.
pub fn binary(name: &str, cargos: &str) -> PathBuf {
    match std::env::var_os("MONLIGHT_BIN_DIR") {
        Some(folder) => Path::new(&folder).join(name),
        None => PathBuf::from(cargos),
    }
}

/// Runs a binary with nothing but these variables, to its end.
pub fn run(binary: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary);
    command.args(args).env_clear().envs(variables.iter().copied()).output().expect("it runs")
}

/// What a program complained about.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A service process.
pub struct Service {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts a binary with exactly these variables, on a free port of the loopback.
    ///
    /// # Panics
    /// When it does not say that it listens; shows what it said instead.
    #[track_caller]
    pub fn start(binary: &Path, variables: &[(&str, &str)]) -> Self {
        Self::launch(Command::new(binary), variables)
    }

    /// The same by a command that ends up running the binary.
    #[track_caller]
    pub fn launch(mut command: Command, variables: &[(&str, &str)]) -> Self {
        command.env_clear().env("BIND_ADDRESS", "127.0.0.1").env("PORT", "0");
        command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = collect_lines(stderr);
        let address = wait_for("the service to listen", || {
            let lines = lock(&log);
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{command:?} ended with {status}:\n{}", lines.join("\n"));
            }
            lines.iter().find_map(|line| line.split(" listens on ").nth(1)?.trim().parse().ok())
        });
        Self { child, address, log }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// A client for it, with this API key.
    pub fn client(&self, key: &str) -> Client {
        Client::new(self.address).with_header("X-API-Key", key)
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> ExitStatus {
        wait_for("the service to stop", || self.child.try_wait().expect("our own child"))
    }

    /// Sends SIGKILL, as a crash would, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("our own child");
    }

    /// Peak resident memory so far, bytes (`VmHWM` of proc(5)).
    pub fn peak_memory(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    /// Resident memory now, bytes.
    pub fn memory(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// Seconds of a core so far, user and system (proc(5), which counts in hundredths).
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a running process");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        ticks / 100.0
    }

    /// A figure of `GET /metrics` that has no labels.
    #[track_caller]
    pub fn figure(&self, key: &str, name: &str) -> f64 {
        let page = self.client(key).get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect_lines(source: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            lock(&sink).push(line);
        }
    });
    log
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked")
    }

    /// The `detail` of an error.
    #[track_caller]
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_else(|| panic!("no detail: {}", self.text())).to_owned()
    }
}

/// Sends each request over a new connection.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client without headers of its own.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `GET`
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").expect("an answer")
    }

    /// `POST` of anything.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, body.as_ref()).expect("an answer")
    }

    /// `POST` of JSON.
    #[track_caller]
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, body.to_string())
    }

    /// Any request; fails when the connection does.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let mut connection = Connection::open(self.address)?;
        connection.write(&self.request(method, path, body))?;
        connection.read_answer(method == "HEAD")
    }

    /// The bytes of a request, for tests that send them in their own way.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        let mut bytes = format!("{head}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

/// A connection on which a test says when to write and when to read.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects; every read and write has [`PATIENCE`].
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Writes all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one answer. `100 Continue` is skipped.
    pub fn read_answer(&mut self, head_only: bool) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        if answer.status == 100 {
            return self.read_answer(head_only);
        }
        if answer.is_chunked() {
            while let Some(chunk) = self.read_chunk()? {
                answer.body.extend(chunk);
            }
        } else if !head_only {
            let length = answer.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            answer.body = self.read_bytes(length)?;
        }
        Ok(answer)
    }

    /// Reads an answer's status and headers.
    pub fn read_head(&mut self) -> io::Result<Answer> {
        let status = self.read_status()?;
        let mut headers = HashMap::new();
        loop {
            let line = self.read_line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    /// Reads a chunk of an answer that is sent in chunks; none after the last one.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.read_line()?;
        let length = usize::from_str_radix(&line, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("no chunk: {line:?}")))?;
        let chunk = self.read_bytes(length)?;
        self.read_line()?;
        Ok((length > 0).then_some(chunk))
    }

    /// Reads exactly so many bytes.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).map(|()| bytes)
    }

    /// How long one read may take.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))
    }

    /// Whether the server has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn read_status(&mut self) -> io::Result<u16> {
        let line = self.read_line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status line: {line:?}")))
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
