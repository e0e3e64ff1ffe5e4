//! Measures every figure of log-viewer on the machine at hand: `make bench`. Prints a table and writes it to
//! `docs/performance.md`. Logs are written as Docker's json-file driver does; rate limits are off.

mod mixed;
mod volume;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::docker_logs::{Logs, line, line_time, record};
use common::testing::figures::load::{self, CONNECTIONS, Step};
use common::testing::figures::{self, Table, percentile};
use common::testing::{self, Client, Connection, PATIENCE, Service, TempDir};

const KEY: &str = "bench";
const LINES: usize = 1_000_000;
const CONTAINERS: usize = 20;
/// What a fresh install keeps.
const ENTRIES_DEFAULT: usize = 100_000;
/// Requests behind each percentile.
const REQUESTS: usize = 300;
/// Lines behind the delay of the live tail.
const TAILED_LINES: usize = 500;

fn main() {
    figures::run(&[
        ("log-viewer", measure),
        ("log-viewer-load", under_load),
        ("log-viewer-mixed", mixed::measure),
        ("log-viewer-volume", volume::measure),
    ]);
}

fn binary() -> PathBuf {
    testing::binary("log-viewer", env!("CARGO_BIN_EXE_log-viewer"))
}

fn measure() {
    let binary = binary();
    let mut table = Table::default();
    let megabytes = fs::metadata(&binary).expect("the binary").len() as f64 / 1e6;
    table.add("static binary, stripped", "under 4.5 MB", format!("{megabytes:.2} MB"), megabytes < 4.5);
    idle(&binary, &mut table);
    tail(&binary, &mut table);
    let logs = Logs::empty(CONTAINERS);
    logs.write(0..LINES);
    let raw = raw_sqlite_rate();
    default_ring(&binary, &logs, &mut table);
    let folder = TempDir::new();
    let service = catch_up(&binary, &folder, &logs, raw, &mut table);
    searches(&service, &mut table);
    let note = format!(
        "{LINES} lines of 100 to 200 bytes in {CONTAINERS} containers, written before the start, each entry committed with its \
         cursor (`synchronous=FULL`) and searchable at once. Every list is the first 100 entries with the total; \
         {REQUESTS} requests each, a new connection for each."
    );
    table.write("log-viewer", &note);
}

fn start(binary: &Path, folder: &TempDir, sources: &Path, entries_max: usize) -> Service {
    let (database, entries_max) = (folder.path().join("logs.db"), entries_max.to_string());
    Service::start(
        binary,
        &[
            ("API_KEY", KEY),
            ("DATABASE_PATH", database.to_str().expect("a readable path")),
            ("LOG_SOURCES", sources.to_str().expect("a readable path")),
            ("TAIL_BUFFER", "1000000000000"),
            ("MAX_ENTRIES", &entries_max),
            ("RATE_LIMIT", "0"),
        ],
    )
}

/// The same lines straight into a table with an external-content index, in large fsynced transactions: what storage allows.
fn raw_sqlite_rate() -> f64 {
    let folder = TempDir::new();
    #[expect(clippy::disallowed_methods, reason = "measures SQLite itself")]
    let conn = rusqlite::Connection::open(folder.path().join("raw.db")).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE t (id INTEGER PRIMARY KEY, time INTEGER, container INTEGER, message TEXT);
         CREATE VIRTUAL TABLE f USING fts5(message, content='t', content_rowid='id');",
    )
    .expect("tables");
    let lines: Vec<String> = (0..200_000).map(line).collect();
    let began = Instant::now();
    for batch in lines.chunks(5000) {
        conn.execute_batch("BEGIN").expect("begin");
        for line in batch {
            let mut insert =
                conn.prepare_cached("INSERT INTO t (time, container, message) VALUES (1, 2, ?1)").expect("a statement");
            let id = insert.insert([line]).expect("a row");
            let mut index = conn.prepare_cached("INSERT INTO f (rowid, message) VALUES (?1, ?2)").expect("a statement");
            index.execute((id, line)).expect("a row");
        }
        conn.execute_batch("COMMIT").expect("commit");
    }
    lines.len() as f64 / began.elapsed().as_secs_f64()
}

fn idle(binary: &Path, table: &mut Table) {
    const SECONDS: u64 = 20;
    let (folder, logs) = (TempDir::new(), Logs::empty(CONTAINERS));
    for number in 0..CONTAINERS {
        logs.append(number).write_all(record("quiet", &line_time(0)).as_bytes()).expect("written");
    }
    let service = start(binary, &folder, logs.folder(), ENTRIES_DEFAULT);
    wait_for_entries(&service, CONTAINERS);
    // The figure is that of a service at rest: what the start has left is over by then.
    thread::sleep(Duration::from_secs(5));
    let before = service.cpu_seconds();
    thread::sleep(Duration::from_secs(SECONDS));
    let percent = 100.0 * (service.cpu_seconds() - before) / SECONDS as f64;
    table.add("CPU idle, 20 quiet containers", "under 0.2 %", format!("{percent:.2} %"), percent < 0.2);
    let resident = service.memory() as f64 / 1e6;
    table.add("RSS idle, 20 quiet containers", "under 5 MB", format!("{resident:.1} MB"), resident < 5.0);
}

/// From the write of a record to its event at a client.
fn tail(binary: &Path, table: &mut Table) {
    let (folder, logs) = (TempDir::new(), Logs::empty(1));
    let service = start(binary, &folder, logs.folder(), ENTRIES_DEFAULT);
    let mut connection = Connection::open(service.address()).expect("a connection");
    connection.write(&service.client(KEY).request("GET", "/api/logs/tail", b"")).expect("a request");
    assert_eq!(connection.read_head().expect("an answer").status, 200);
    let (mut log, mut buffer, mut took) = (logs.append(0), String::new(), Vec::new());
    for number in 0..TAILED_LINES {
        let (line, began) = (format!("live-{number}-"), Instant::now());
        log.write_all(record(&line, &line_time(number)).as_bytes()).expect("written");
        while !buffer.contains(&line) {
            let chunk = connection.read_chunk().expect("a chunk").expect("the stream goes on");
            buffer.push_str(&String::from_utf8_lossy(&chunk));
        }
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        buffer.clear();
        // Not in step with anything the service does.
        thread::sleep(Duration::from_millis(number as u64 * 7 % 23));
    }
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    table.add(
        "from a write to a tail's event, p99",
        "under 100 ms",
        format!("{p99:.0} ms (p50 {p50:.0} ms)"),
        p99 < 100.0,
    );
}

/// Everything, with the ring of a fresh install: how large the file becomes.
fn default_ring(binary: &Path, logs: &Logs, table: &mut Table) {
    let folder = TempDir::new();
    let service = start(binary, &folder, logs.folder(), ENTRIES_DEFAULT);
    wait_for_entries(&service, LINES);
    let client = service.client(KEY);
    testing::wait_for("the ring to be trimmed", || {
        let stored = client.get("/api/stats").json()["total_logs"].as_u64().expect("a total");
        (stored <= ENTRIES_DEFAULT as u64).then_some(())
    });
    wait_for_steady_size(&folder);
    assert!(service.terminate().success());
    table.add("file of 100,000 entries, after 1,000,000", "-", file_size(&folder), true);
}

/// The file gives its space back in small steps: waits until it is as large as it stays.
fn wait_for_steady_size(folder: &TempDir) {
    const STEADY: Duration = Duration::from_secs(10);
    let (mut size, mut since) = (file_bytes(folder), Instant::now());
    while since.elapsed() < STEADY {
        thread::sleep(Duration::from_millis(200));
        if file_bytes(folder) != size {
            (size, since) = (file_bytes(folder), Instant::now());
        }
    }
}

fn file_bytes(folder: &TempDir) -> u64 {
    fs::metadata(folder.path().join("logs.db")).expect("a file").len()
}

fn file_size(folder: &TempDir) -> String {
    format!("{:.0} MB", file_bytes(folder) as f64 / 1e6)
}

/// The service with everything stored.
fn catch_up(binary: &Path, folder: &TempDir, logs: &Logs, raw: f64, table: &mut Table) -> Service {
    let began = Instant::now();
    let service = start(binary, folder, logs.folder(), 2 * LINES);
    wait_for_entries(&service, LINES);
    let rate = LINES as f64 / began.elapsed().as_secs_f64();
    let share = format!("{rate:.0} lines/s, {:.0} % of raw SQLite + FTS5's {raw:.0} rows/s", 100.0 * rate / raw);
    table.add("catching up, committed and searchable", "45,000 lines/s", share, rate >= 45_000.0);
    let peak = service.peak_memory() as f64 / 1e6;
    table.add("peak RSS while catching up", "under 15 MB", format!("{peak:.1} MB"), peak < 15.0);
    let total = service.client(KEY).get("/api/stats").json()["total_logs"].as_u64().expect("a total");
    assert_eq!(total, LINES as u64);
    table.add("file of 1,000,000 entries", "-", file_size(folder), true);
    service
}

/// Waits until so many entries were committed, by the service's own count, which costs no query.
fn wait_for_entries(service: &Service, count: usize) {
    let deadline = Instant::now() + 10 * PATIENCE;
    let stored = || service.figure(KEY, "monlight_log_entries_total") as usize;
    while stored() < count {
        assert!(Instant::now() < deadline, "only {} entries of {count}", stored());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Searches over plain HTTP, with what a fresh install keeps.
fn under_load() {
    let (binary, folder, logs) = (binary(), TempDir::new(), Logs::empty(CONTAINERS));
    logs.write(0..ENTRIES_DEFAULT);
    let service = start(&binary, &folder, logs.folder(), ENTRIES_DEFAULT);
    wait_for_entries(&service, ENTRIES_DEFAULT);
    assert!(service.terminate().success());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/search.lua");
    let step = |connections| {
        let service = start(&binary, &folder, logs.folder(), ENTRIES_DEFAULT);
        let wrk = |connections| load::wrk(service.address(), &script, &[("KEY", KEY)], connections, load::SECONDS);
        Step::measure(&service, connections, wrk)
    };
    let steps: Vec<Step> = CONNECTIONS.map(step).into();
    let note = format!(
        "The newest 50 entries with a common word, of a container, of a level, and with a rare word, in turns, among {ENTRIES_DEFAULT}. \
         `wrk` runs on the same machine, {} s for each number of connections, after a start. `RATE_LIMIT=0`.",
        load::SECONDS
    );
    load::write("log-viewer-load", &note, "searches", 1.0, &steps);
}

fn searches(service: &Service, table: &mut Table) {
    let client = service.client(KEY);
    let at = |share: usize| line_time(LINES / 10 * share);
    let filter = format!("container=shop_service_6&level=WARNING&since={}&until={}", at(3), at(6));
    for (what, query, least, most) in [
        ("search of a rare word", "search=quokka", 100, 10.0),
        ("search of a common word (15 %)", "search=timeout", LINES / 10, 40.0),
        ("search of a phrase", "search=%22payment+gateway%22", LINES / 10, 60.0),
        ("filter by container, level and time", &filter, 1000, 20.0),
        ("the newest entries", "", LINES, f64::INFINITY),
        ("search of a common word in a container", "search=timeout&container=shop_service_1", 1000, f64::INFINITY),
        ("part of a word (contains=uokk)", "contains=uokk", 1, f64::INFINITY),
    ] {
        let (p50, p99) = list_time(&client, &format!("/api/logs?{query}&limit=100"), least, REQUESTS);
        let goal = if most.is_finite() { format!("under {most} ms") } else { "-".into() };
        let what = format!("{what}, 1,000,000 entries, p99");
        table.add(&what, &goal, format!("{p99:.1} ms (p50 {p50:.1} ms)"), p99 < most);
    }
    let peak = service.peak_memory() as f64 / 1e6;
    table.add("peak RSS with these searches", "under 15 MB", format!("{peak:.1} MB"), peak < 15.0);
}

/// p50 and p99 of a list that finds at least so many entries, ms.
fn list_time(client: &Client, target: &str, least: usize, requests: usize) -> (f64, f64) {
    let first = client.get(target);
    assert_eq!(first.status, 200, "{target}: {}", first.text());
    let total = first.json()["total"].as_u64();
    assert!(total.is_none_or(|total| total >= least as u64), "{target}: only {total:?}");
    let mut took: Vec<f64> = (0..requests)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(client.get(target).status, 200);
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    (percentile(&mut took, 50), percentile(&mut took, 99))
}
