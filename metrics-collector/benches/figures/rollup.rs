//! Rollups and retention. The last minute of an hour has a million points; it and the hour are rolled up while others read and
//! write all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::testing::figures::{Table, percentile};
use common::testing::{self, Client, PATIENCE, Random, Service, TempDir};
use rusqlite::Connection;

const KEY: &str = "bench";
const POINTS: usize = 1_000_000;
/// Those of a minute at the rate that can be stored.
const POINTS_MANY: usize = 18_000_000;
pub(super) const SERIES: usize = 2000;
/// Points of a series in each of the other minutes.
const POINTS_EARLIER: usize = 4;
/// The start of an hour that is over.
const HOUR: i64 = 1_790_000_000 / 3600 * 3600;
/// As long as this nothing else goes on.
const QUIET: Duration = Duration::from_secs(10);
/// Hours: all that is there.
pub(super) const KEPT: &str = "87600";

/// Adds the figures.
pub(crate) fn measure(table: &mut Table) {
    let (folder, mut random) = (TempDir::new(), Random::new());
    assert!(start(&folder, KEPT).terminate().success());
    fill(&mut random, &folder, HOUR, 0..59, SERIES * POINTS_EARLIER);
    let service = start(&folder, KEPT);
    wait_for(&service, "monlight_rollup_minutes_total", 59.0);
    assert!(service.terminate().success());
    fill(&mut random, &folder, HOUR, 59..60, POINTS);
    nothing(table);
    last_minute_and_hour(&folder, table);
    fill(&mut random, &folder, HOUR, 60..61, POINTS_MANY);
    busy_minute(&folder, table);
    retention(&folder, table);
}

/// What the machine itself makes writers and readers wait, to compare the other waits with.
fn nothing(table: &mut Table) {
    let folder = TempDir::new();
    let service = start(&folder, KEPT);
    let others = Others::start(&service);
    thread::sleep(QUIET);
    for (who, thread) in others.end() {
        let mut waits = thread.join().expect("it ends");
        let (p99, longest) = (percentile(&mut waits, 99), percentile(&mut waits, 100));
        let what = format!("longest wait of a {who} during nothing else, for comparison (p99 {p99:.1} ms)");
        table.add(&what, "-", format!("{longest:.1} ms"), true);
    }
    assert!(service.terminate().success());
}

fn last_minute_and_hour(folder: &TempDir, table: &mut Table) {
    let service = start(folder, KEPT);
    let others = Others::start(&service);
    wait_for(&service, "monlight_rollup_minutes_total", 1.0);
    wait_for(&service, "monlight_rollup_hours_total", 1.0);
    let took = service.figure(KEY, "monlight_rollup_minutes_seconds_total");
    table.add("rollup of a minute: 1,000,000 points in 2,000 series", "under 2 s", format!("{took:.2} s"), took < 2.0);
    let took = service.figure(KEY, "monlight_rollup_hours_seconds_total");
    table.add("rollup of an hour: 120,000 minutes of histograms", "under 2 s", format!("{took:.2} s"), took < 2.0);
    others.stop("rollups", table);
    memory(&service, "rollups", table);
    assert!(service.terminate().success());
    let conn = open(folder);
    for (what, name) in [("minute", "minute_sketches"), ("hour", "hour_sketches")] {
        let sql = format!("SELECT avg(length(sketch)) FROM {name} WHERE bucket = (SELECT max(bucket) FROM {name})");
        let bytes: f64 = conn.query_row(&sql, [], |row| row.get(0)).expect("sketches");
        table.add(&format!("bytes of a sketch of such a {what}"), "under 1,000", format!("{bytes:.0}"), bytes < 1000.0);
    }
}

fn busy_minute(folder: &TempDir, table: &mut Table) {
    let service = start(folder, KEPT);
    let others = Others::start(&service);
    wait_for(&service, "monlight_rollup_minutes_total", 1.0);
    let took = service.figure(KEY, "monlight_rollup_minutes_seconds_total");
    let what = "rollup of a minute of 300,000 points/s in 2,000 series";
    table.add(what, "under 20 s", format!("{took:.1} s"), took < 20.0);
    others.stop("such a rollup", table);
    memory(&service, "such a rollup", table);
    assert!(service.terminate().success());
}

fn retention(folder: &TempDir, table: &mut Table) {
    let began = Instant::now();
    let service = start(folder, "1");
    let others = Others::start(&service);
    let all = (59 * SERIES * POINTS_EARLIER + POINTS + POINTS_MANY) as f64;
    wait_for(&service, "monlight_points_deleted_total", all);
    let rate = all / began.elapsed().as_secs_f64();
    table.add("old points deleted per second", "over 400,000", format!("{rate:.0}"), rate > 4e5);
    others.stop("retention", table);
    memory(&service, "retention", table);
    assert!(service.terminate().success());
}

fn memory(service: &Service, what: &str, table: &mut Table) {
    let peak = service.peak_memory() as f64 / 1e6;
    table.add(&format!("peak resident memory, {what}"), "under 20 MB", format!("{peak:.1} MB"), peak < 20.0);
}

pub(super) fn start(folder: &TempDir, raw_hours: &str) -> Service {
    let database = folder.path().join("metrics.db");
    let binary = testing::binary("metrics-collector", env!("CARGO_BIN_EXE_metrics-collector"));
    let variables = [
        ("API_KEY", KEY),
        ("DATABASE_PATH", database.to_str().expect("a readable path")),
        ("RATE_LIMIT", "0"),
        ("AGGREGATION_INTERVAL", "1"),
        ("RETENTION_RAW", raw_hours),
        ("RETENTION_MINUTE", "87600"),
        ("RETENTION_HOURLY", "36500"),
    ];
    Service::start(&binary, &variables)
}

#[expect(clippy::disallowed_methods, reason = "points are put into the file directly")]
fn open(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("metrics.db")).expect("a database")
}

/// Latencies around 50 ms, in these minutes from the start of an hour.
pub(super) fn fill(
    random: &mut Random,
    folder: &TempDir,
    hour: i64,
    minutes: std::ops::Range<i64>,
    points_per_minute: usize,
) {
    let mut conn = open(folder);
    let tx = conn.transaction().expect("a transaction");
    let mut series = tx
        .prepare("INSERT OR IGNORE INTO series VALUES (?1, 'latency', 'histogram', '', json_object('n', ?1), ?2)")
        .expect("a statement");
    for number in 1..=SERIES {
        series.execute((number as i64, hour)).expect("a series");
    }
    let mut point = tx.prepare("INSERT INTO points (id, series, value) VALUES (?1, ?2, ?3)").expect("a statement");
    let mut mark = tx.prepare("INSERT INTO pending VALUES (60, ?1, 1)").expect("a statement");
    for minute in minutes {
        mark.execute([hour + minute * 60]).expect("it is new");
        for number in 0..points_per_minute {
            let millis = (hour + minute * 60) * 1000 + (number * 60_000 / points_per_minute) as i64;
            let share = random.below(1_000_000) as f64 / 1e6 + 1e-7;
            let value = 50.0 * (share / (1.0 - share + 1e-6)).powf(0.4);
            let id = (millis << 21) + (number % 1_000_000) as i64;
            point.execute((id, random.below(SERIES) as i64 + 1, value)).expect("a point");
        }
    }
    drop((series, point, mark));
    tx.commit().expect("committed");
}

/// Waits until a figure has got so large.
pub(super) fn wait_for(service: &Service, name: &str, least: f64) {
    testing::wait_up_to(20 * PATIENCE, name, || (service.figure(KEY, name) >= least).then_some(()));
}

/// Those who read and write over and over while something else goes on.
struct Others {
    is_over: Arc<AtomicBool>,
    threads: [(&'static str, JoinHandle<Vec<f64>>); 2],
}

impl Others {
    fn start(service: &Service) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = |once: fn(&Client)| {
            let (client, is_over) = (service.client(KEY), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut waits = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    once(&client);
                    waits.push(began.elapsed().as_secs_f64() * 1e3);
                    thread::sleep(Duration::from_millis(1));
                }
                waits
            })
        };
        Self { threads: [("writer", thread(write)), ("reader", thread(read))], is_over }
    }

    fn end(self) -> [(&'static str, JoinHandle<Vec<f64>>); 2] {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads
    }

    fn stop(self, during: &str, table: &mut Table) {
        for (who, thread) in self.end() {
            let mut waits = thread.join().expect("it ends");
            let (p99, longest) = (percentile(&mut waits, 99), percentile(&mut waits, 100));
            let what = format!("longest wait of a {who} during {during} ({} of them, p99 {p99:.1} ms)", waits.len());
            table.add(&what, "under 50 ms", format!("{longest:.1} ms"), longest < 50.0);
        }
    }
}

/// A batch that is stored: answered when it is on disk.
fn write(client: &Client) {
    let answer = client.post("/api/metrics", r#"[{"name": "other", "type": "gauge", "value": 1}]"#);
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// A chart of the last hour.
fn read(client: &Client) {
    let answer = client.get("/api/metrics?name=other&period=1h");
    assert_eq!(answer.status, 200, "{}", answer.text());
}
