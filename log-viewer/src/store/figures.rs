//! What the store can do, measured on the machine at hand:
//! `MONLIGHT_STORE_FIGURES=1000000 cargo test --release -p log-viewer --lib store::figures -- --nocapture`.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use common::db::{Database, Reader};
use common::testing::TempDir;
use rusqlite::Connection;

use super::testing::{NOW, batch, filter, limits};
use super::{MIGRATIONS, append, health, page, trim};
use crate::entry::{Level, LogTime, NewEntry, Stream};

const CONTAINERS: u64 = 20;
const BATCH: usize = 2000;
const SLICE: usize = 4000;
const QUERIES: usize = 100;

#[test]
fn figures() {
    let Some(entries) = std::env::var_os("MONLIGHT_STORE_FIGURES") else { return };
    let entries: u64 = entries.to_str().and_then(|text| text.parse().ok()).expect("a number of entries");
    let folder = TempDir::new();
    let path = folder.path().join("logs.db");
    let (database, conn) = Database::open(&path, "log-viewer", MIGRATIONS).expect("a database");
    let mut lines = Lines::new();
    let limits = limits(entries, 1000);
    eprintln!("average message: {} bytes", lines.average());
    eprintln!("filling: {}", rate(&conn, &mut lines, entries, |conn| drop(trim(conn, &limits, NOW, SLICE))));
    eprintln!("steady: {}", rate(&conn, &mut lines, entries / 2, |conn| drop(trim(conn, &limits, NOW, SLICE))));
    eprintln!("stored: {:?}", health(&conn).expect("health").0);
    let _: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("a checkpoint");
    let size = std::fs::metadata(&path).expect("a file").len();
    let free: u64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).expect("a number") as u64;
    eprintln!("file: {} MB, free in it {} MB", size >> 20, (free * 4096) >> 20);
    eprintln!("{}", memory());
    let reader = database.reader().expect("a reader");
    let noisy = "container=service-0&level=info";
    let middle = LogTime::from_nanos(LogTime::from(NOW).nanos() + (entries as i64) * 80_000_000);
    for (what, query) in [
        ("rare word", "search=unicorn".to_owned()),
        ("no such word", "search=nowhere".to_owned()),
        ("common word, 15 %", "search=bytes".to_owned()),
        ("phrase", "search=%22slow%20session%22".to_owned()),
        ("prefix", "search=conn*".to_owned()),
        ("three wide prefixes", "search=1*%20OR%20i*%20OR%20r*".to_owned()),
        (
            "32 words",
            format!(
                "search={}",
                WORDS.map(|word| format!("{word}%20OR%20")).concat() + "1 OR 2 OR 3 OR 4 OR 5 OR 6 OR 7 OR 8"
            ),
        ),
        ("common word in a container", "search=bytes&container=service-3".to_owned()),
        ("list", String::new()),
        ("list, offset 10,000", "offset=10000".to_owned()),
        ("container", "container=service-3".to_owned()),
        ("container, level, since", format!("{noisy}&since={middle}")),
        ("container, level, until", format!("{noisy}&until={middle}")),
        ("level", "level=%3E%3Derror".to_owned()),
        ("rare level", "level=critical".to_owned()),
        ("since", format!("since={middle}")),
        ("contains", "contains=ows%20x".to_owned()),
        ("contains, found", "contains=onnectio".to_owned()),
    ] {
        eprintln!("{what}: {}", times(&reader, &query));
    }
    eprintln!("{}", memory());
}

/// Rows per second of wall-clock and of CPU, making the lines not counted.
fn rate(conn: &Connection, lines: &mut Lines, entries: u64, after: impl Fn(&Connection)) -> String {
    let (mut wall, mut cpu, mut worst) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut stored = 0;
    while stored < entries {
        let batches: Vec<_> = lines.batches();
        let (began, cpu_began) = (Instant::now(), cpu_time());
        conn.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        for batch in &batches {
            append(conn, batch, NOW).expect("stored");
        }
        conn.execute_batch("COMMIT; BEGIN IMMEDIATE").expect("a commit");
        after(conn);
        conn.execute_batch("COMMIT").expect("a commit");
        wall += began.elapsed();
        cpu += cpu_time().saturating_sub(cpu_began);
        worst = worst.max(began.elapsed());
        stored += BATCH as u64;
    }
    let per_second = |time: Duration| (entries as f64 / time.as_secs_f64()) as u64;
    format!("{} entries/s, {} by CPU time, slowest batch {worst:?}", per_second(wall), per_second(cpu))
}

fn times(reader: &Reader, query: &str) -> String {
    let filter = filter(query);
    let mut times = Vec::new();
    let mut total = 0;
    for _ in 0..QUERIES {
        let began = Instant::now();
        total = page(reader, &filter, 20_000).expect(query).total;
        times.push(began.elapsed());
    }
    times.sort();
    format!("total {total}, median {:?}, p99 {:?}", times[QUERIES / 2], times[QUERIES - 1])
}

/// What this thread has used.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number"))
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    lines.collect::<Vec<_>>().join(", ").replace('\t', " ")
}

const WORDS: [&str; 24] = [
    "connection",
    "timeout",
    "user",
    "order",
    "payment",
    "cache",
    "miss",
    "request",
    "handler",
    "worker",
    "queue",
    "retry",
    "database",
    "query",
    "slow",
    "session",
    "token",
    "expired",
    "refresh",
    "upload",
    "render",
    "template",
    "delivery",
    "webhook",
];

/// Lines as web services write them, always the same ones.
struct Lines {
    state: u64,
    written: i64,
}

impl Lines {
    const fn new() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, written: 0 }
    }

    fn average(&mut self) -> usize {
        (0..1000).map(|_| self.message().len()).sum::<usize>() / 1000
    }

    /// One batch of each container, together [`BATCH`] entries; some containers write more than others.
    fn batches(&mut self) -> Vec<super::Batch> {
        let mut entries: Vec<Vec<NewEntry>> = vec![Vec::new(); CONTAINERS as usize];
        for _ in 0..BATCH {
            let container = self.below(CONTAINERS) * self.below(CONTAINERS) / CONTAINERS;
            self.written += 1;
            let level = match self.below(1000) {
                0 => Level::Critical,
                1..50 => Level::Error,
                50..120 => Level::Warning,
                120..300 => Level::Debug,
                _ => Level::Info,
            };
            let time = LogTime::from_nanos(LogTime::from(NOW).nanos() + self.written * 80_000_000);
            entries[container as usize].push(NewEntry { time, stream: Stream::Stdout, level, message: self.message() });
        }
        entries.into_iter().zip(0..).map(|(entries, number)| batch(&format!("service-{number}"), entries)).collect()
    }

    fn message(&mut self) -> String {
        let (small, large, hex) = (self.below(250), self.below(1_000_000), self.below(u64::MAX));
        let (one, two, three) = (self.word(), self.word(), self.word());
        let mut text = match self.below(20) {
            0..6 => format!(
                "10.0.{small}.7 - - [20/Jan/2026:10:00:{:02} +0000] \"GET /api/{one}/{large}?page={small} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                small % 60,
                large % 9000
            ),
            6..10 => format!(
                "{{\"level\":\"info\",\"msg\":\"{one} {two} {three}\",\"request_id\":\"{hex:016x}\",\"user_id\":{},\"duration_ms\":{small}}}",
                large % 50_000
            ),
            10..17 => format!(
                "2026-01-20 10:00:00,{small:03} INFO [{one}] {two} {three} for customer {} took {small} ms in region eu-west-{}, request {hex:016x}",
                large % 20_000,
                small % 4
            ),
            _ => format!(
                "INFO: {one} {two} {three}: key={one}:{large} size={} bytes after {small} ms, next in {} s, trace {hex:016x}",
                large % 70_000,
                small % 60
            ),
        };
        if self.below(50_000) == 0 {
            let _ = write!(text, " unicorn");
        }
        text
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    /// A number below `end` (xorshift).
    fn below(&mut self, end: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 3) % end
    }
}
