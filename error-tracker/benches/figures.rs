//! Measures every figure of error-tracker on the machine at hand: `make bench`. Prints one table and writes it to
//! `docs/performance.md`. The load comes from `wrk` on the same machine; rate limits are off.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::figures::load::{self, CONNECTIONS, Load, Step};
use common::testing::figures::{self, Table, percentile};
use common::testing::{self, Client, Connection, Service, TempDir};

const KEY: &str = "bench";
/// Seconds of each load.
const LOAD_SECONDS: u32 = 10;
const GROUPS: u64 = 100_000;
/// Requests behind each percentile of a list.
const LIST_REQUESTS: usize = 300;

fn main() {
    figures::run(&[("error-tracker", measure), ("error-tracker-load", under_load)]);
}

fn binary() -> PathBuf {
    testing::binary("error-tracker", env!("CARGO_BIN_EXE_error-tracker"))
}

fn measure() {
    let binary = binary();
    let mut table = Table::default();
    size_and_idle(&binary, &mut table);
    let raw = raw_sqlite_rate();
    loads(&binary, raw, &mut table);
    attacks(&binary, &mut table);
    lists(&binary, &mut table);
    let note = format!(
        "The load generator (`wrk`, 2 threads, {LOAD_SECONDS} s each) runs on the same machine. `RATE_LIMIT=0`. Every answer \
         to a report is sent after its fsync (`synchronous=FULL`). Reports are 2.9 KB. Where \
         the service's cores and `wrk` take all there are, the processor is the limit. A search takes longest where it finds \
         everything: beyond one that finds nothing it counts the hits, and keeps the first of them aside."
    );
    table.write("error-tracker", &note);
}

fn under_load() {
    let step = |connections| {
        let folder = TempDir::new();
        let service = start(&binary(), folder.path());
        Step::measure(&service, connections, |connections| wrk_for(&service, "unique", connections, load::SECONDS))
    };
    let steps: Vec<Step> = CONNECTIONS.map(step).into();
    let note = format!(
        "Unique reports of 2.9 KB into an empty database for each number of connections; `wrk` runs on the same machine, {} s each. \
         `RATE_LIMIT=0`. Every answer is sent after its fsync (`synchronous=FULL`).",
        load::SECONDS
    );
    load::write("error-tracker-load", &note, "reports", 1.0, &steps);
}

fn start(binary: &Path, folder: &Path) -> Service {
    let database = folder.join("errors.db");
    let database = database.to_str().expect("a readable path");
    Service::start(binary, &[("API_KEY", KEY), ("DATABASE_PATH", database), ("RATE_LIMIT", "0")])
}

fn size_and_idle(binary: &Path, table: &mut Table) {
    let megabytes = std::fs::metadata(binary).expect("the binary").len() as f64 / 1e6;
    table.add("static binary, stripped", "under 4.5 MB", format!("{megabytes:.2} MB"), megabytes < 4.5);
    let folder = TempDir::new();
    let service = start(binary, folder.path());
    // The figure is defined as the memory five seconds after the start.
    thread::sleep(Duration::from_secs(5));
    let idle = service.memory() as f64 / 1e6;
    table.add("RSS idle, 5 s after start", "under 4 MB", format!("{idle:.1} MB"), idle < 4.0);
}

/// 3 KB rows, 200 per fsynced transaction, straight into SQLite: what storage alone allows.
fn raw_sqlite_rate() -> f64 {
    let folder = TempDir::new();
    #[expect(clippy::disallowed_methods, reason = "measures SQLite itself")]
    let conn = rusqlite::Connection::open(folder.path().join("raw.db")).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, row TEXT)",
    )
    .expect("a table");
    let row = "x".repeat(3000);
    let (began, mut rows) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        conn.execute_batch("BEGIN").expect("begin");
        for _ in 0..200 {
            conn.prepare_cached("INSERT INTO t (row) VALUES (?1)")
                .expect("a statement")
                .execute([&row])
                .expect("a row");
        }
        conn.execute_batch("COMMIT").expect("commit");
        rows += 200;
    }
    f64::from(rows) / began.elapsed().as_secs_f64()
}

fn loads(binary: &Path, raw: f64, table: &mut Table) {
    let folder = TempDir::new();
    let service = start(binary, folder.path());
    let (unique, health_p99) = with_health(&service, || wrk(&service, "unique", 64));
    let share = format!(
        "{:.0}/s, p99 {:.0} ms, {:.0} % of raw SQLite's {raw:.0} rows/s",
        unique.rate,
        unique.p99,
        100.0 * unique.rate / raw
    );
    table.add("unique reports, 64 connections", "8,000/s", share, unique.rate >= 8000.0);
    table.add("p99 of GET /health meanwhile", "under 20 ms", format!("{health_p99:.1} ms"), health_p99 < 20.0);
    for (mode, what, goal, least) in [
        ("repeated", "one repeated report, 64 connections", "12,000/s", 12_000.0),
        ("closing", "unique reports, a new connection each", "4,000/s", 4_000.0),
    ] {
        let before = service.cpu_seconds();
        let load = wrk(&service, mode, 64);
        let cores = (service.cpu_seconds() - before) / f64::from(LOAD_SECONDS);
        let measured = format!("{:.0}/s, p99 {:.0} ms, {cores:.1} cores", load.rate, load.p99);
        table.add(what, goal, measured, load.rate >= least);
    }
    let peak = service.peak_memory() as f64 / 1e6;
    table.add("peak RSS under these loads", "under 15 MB", format!("{peak:.1} MB"), peak < 15.0);
    let many = wrk(&service, "unique", 200);
    table.add(
        "unique reports, 200 connections",
        "-",
        format!("{:.0}/s, p99 {:.0} ms, peak RSS {:.1} MB", many.rate, many.p99, service.peak_memory() as f64 / 1e6),
        true,
    );
}

/// Floods from clients that do not read, heads without an end, and bodies that never come, all at once; the tests have more.
fn attacks(binary: &Path, table: &mut Table) {
    const FLOODS: usize = 8;
    const STALLED: usize = 500;
    const SECONDS: u64 = 5;
    let folder = TempDir::new();
    let service = start(binary, folder.path());
    let stalled =
        format!("POST /api/errors HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: 200000\r\n\r\n{{");
    let _held: Vec<TcpStream> = (0..STALLED)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address()).expect("a connection");
            // The service closes those for which it has no room.
            let _ = stream.write_all(stalled.as_bytes());
            stream
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let requests = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    thread::scope(|scope| {
        for (start, more) in [(requests.as_str(), requests.as_str()), ("GET / HTTP/1.1\r\nX: ", "aaaaaaaaaaaaaaaa")] {
            for _ in 0..FLOODS {
                scope.spawn(|| flood(&service, start, more, until));
            }
        }
    });
    assert_eq!(Client::new(service.address()).get("/health").status, 200);
    let peak = service.peak_memory() as f64 / 1e6;
    let what = format!("peak RSS under {FLOODS} floods, {FLOODS} endless heads and {STALLED} stalled clients");
    table.add(&what, "under 15 MB", format!("{peak:.1} MB"), peak < 15.0);
}

/// Writes without reading, and connects again when that is refused.
fn flood(service: &Service, start: &str, more: &str, until: Instant) {
    while Instant::now() < until {
        let mut stream = TcpStream::connect(service.address()).expect("a connection");
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a time limit");
        let mut piece = start;
        while Instant::now() < until && stream.write_all(piece.as_bytes()).is_ok() {
            piece = more;
        }
    }
}

fn lists(binary: &Path, table: &mut Table) {
    let folder = TempDir::new();
    let service = start(binary, folder.path());
    while total(&service) < GROUPS {
        wrk_for(&service, "unique", 64, 2);
    }
    let groups = total(&service);
    for (query, search) in [
        ("", false),
        ("?project=shop", false),
        ("?project=shop&environment=prod&source=server", false),
        ("?resolved=all&since=2026-01-01", false),
        ("?search=order+777", true),
        ("?search=order&project=shop", true),
        ("?search=nothing+like+this", true),
    ] {
        let p99 = list_p99(&service, query);
        let (goal, most) = if search { ("under 100 ms", 100.0) } else { ("under 20 ms", 20.0) };
        let what = format!("GET /api/errors{query}, {groups} groups, p99");
        table.add(&what, goal, format!("{p99:.1} ms"), p99 < most);
    }
}

fn total(service: &Service) -> u64 {
    service.client(KEY).get("/api/errors?limit=1").json()["total"].as_u64().expect("a total")
}

fn list_p99(service: &Service, query: &str) -> f64 {
    let client = service.client(KEY);
    let mut took: Vec<f64> = (0..LIST_REQUESTS)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(client.get(&format!("/api/errors{query}")).status, 200);
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    percentile(&mut took, 99)
}

fn wrk(service: &Service, mode: &str, connections: u32) -> Load {
    wrk_for(service, mode, connections, LOAD_SECONDS)
}

fn wrk_for(service: &Service, mode: &str, connections: u32, seconds: u32) -> Load {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/report.lua");
    load::wrk(service.address(), &script, &[("MODE", mode), ("KEY", KEY)], connections, seconds)
}

/// Runs a load while another client asks for the health every five milliseconds; the p99 of that in ms.
fn with_health(service: &Service, load: impl FnOnce() -> Load) -> (Load, f64) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let request = Client::new(service.address()).request("GET", "/health", b"");
            let mut connection = Connection::open(service.address()).expect("a connection");
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                connection.write(&request).expect("a request");
                connection.read_answer(false).expect("an answer");
                took.push(began.elapsed().as_secs_f64() * 1000.0);
                thread::sleep(Duration::from_millis(5));
            }
            percentile(&mut took, 99)
        });
        let load = load();
        stop.store(true, Ordering::Relaxed);
        (load, watch.join().expect("the health watch"))
    })
}
