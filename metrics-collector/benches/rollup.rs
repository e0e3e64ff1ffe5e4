//! Measures rollups on the machine at hand: `cargo bench -p metrics-collector --bench rollup`. The last minute of an hour has
//! a million points; it and the hour are rolled up while others read and write all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::testing::figures::{Table, percentile};
use common::testing::{self, Random, Service, TempDir};
use rusqlite::{Connection, TransactionBehavior};

const KEY: &str = "bench";
const POINTS: usize = 1_000_000;
const SERIES: usize = 2000;
/// Points of a series in each of the other minutes.
const POINTS_EARLIER: usize = 4;
/// The start of an hour that is over.
const HOUR: i64 = 1_790_000_000 / 3600 * 3600;
/// How often others look whether the database is free.
const PATIENCE: Duration = Duration::from_micros(100);

fn main() {
    let mut table = Table::default();
    let folder = TempDir::new();
    assert!(start(&folder).terminate().success());
    fill(&folder, 0..59, SERIES * POINTS_EARLIER);
    let service = start(&folder);
    wait_for(&service, "monlight_rollup_minutes_total", 59.0);
    assert!(service.terminate().success());
    fill(&folder, 59..60, POINTS);

    let service = start(&folder);
    let (writers, readers) = (Others::start(&folder, write), Others::start(&folder, read));
    let minute = wait_for(&service, "monlight_rollup_minutes_total", 1.0);
    let hour = wait_for(&service, "monlight_rollup_hours_total", 1.0);
    let (writers, readers) = (writers.stop(), readers.stop());
    assert!(minute && hour);
    let took = figure(&service, "monlight_rollup_minutes_seconds_total");
    table.add("rollup of a minute: 1,000,000 points in 2,000 series", "under 2 s", format!("{took:.2} s"), took < 2.0);
    let took = figure(&service, "monlight_rollup_hours_seconds_total");
    table.add("rollup of an hour: 120,000 minutes of histograms", "under 2 s", format!("{took:.2} s"), took < 2.0);
    for (who, mut waits) in [("writer", writers), ("reader", readers)] {
        let (p99, longest) = (percentile(&mut waits, 99), percentile(&mut waits, 100));
        let what = format!("longest wait of a {who} meanwhile ({} of them, p99 {p99:.1} ms)", waits.len());
        table.add(&what, "under 50 ms", format!("{longest:.1} ms"), longest < 50.0);
    }
    let peak = service.peak_memory() as f64 / 1e6;
    table.add("peak resident memory", "under 20 MB", format!("{peak:.1} MB"), peak < 20.0);
    let conn = open(&folder);
    for (what, table_name) in [("minute", "minute_sketches"), ("hour", "hour_sketches")] {
        let sql = format!(
            "SELECT avg(length(sketch)) FROM {table_name} WHERE bucket = (SELECT max(bucket) FROM {table_name})"
        );
        let bytes: f64 = conn.query_row(&sql, [], |row| row.get(0)).expect("sketches");
        table.add(&format!("bytes of a sketch of such a {what}"), "under 1,000", format!("{bytes:.0}"), bytes < 1000.0);
    }
    assert!(service.terminate().success());
}

fn start(folder: &TempDir) -> Service {
    let database = folder.path().join("metrics.db");
    let binary = testing::binary("metrics-collector", env!("CARGO_BIN_EXE_metrics-collector"));
    let variables = [
        ("API_KEY", KEY),
        ("DATABASE_PATH", database.to_str().expect("a readable path")),
        ("RATE_LIMIT", "0"),
        ("AGGREGATION_INTERVAL", "1"),
        ("RETENTION_RAW", "87600"),
        ("RETENTION_MINUTE", "87600"),
        ("RETENTION_HOURLY", "36500"),
    ];
    Service::start(&binary, &variables)
}

#[expect(clippy::disallowed_methods, reason = "others read and write, too")]
fn open(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("metrics.db")).expect("a database")
}

/// Latencies around 50 ms, in so many minutes of the hour.
fn fill(folder: &TempDir, minutes: std::ops::Range<i64>, points_per_minute: usize) {
    let mut conn = open(folder);
    let mut random = Random::new();
    let tx = conn.transaction().expect("a transaction");
    let mut series = tx
        .prepare("INSERT OR IGNORE INTO series VALUES (?1, 'latency', 'histogram', '', json_object('n', ?1), ?2)")
        .expect("a statement");
    for number in 1..=SERIES {
        series.execute((number as i64, HOUR)).expect("a series");
    }
    let mut point = tx.prepare("INSERT INTO points (id, series, value) VALUES (?1, ?2, ?3)").expect("a statement");
    let mut mark = tx.prepare("INSERT INTO pending VALUES (60, ?1, 1)").expect("a statement");
    for minute in minutes {
        mark.execute([HOUR + minute * 60]).expect("it is new");
        for number in 0..points_per_minute {
            let millis = (HOUR + minute * 60) * 1000 + (number * 60_000 / points_per_minute) as i64;
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
fn wait_for(service: &Service, name: &str, least: f64) -> bool {
    testing::wait_for(name, || (figure(service, name) >= least).then_some(true))
}

fn figure(service: &Service, name: &str) -> f64 {
    let page = service.client(KEY).get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.and_then(|value| value.parse().ok()).expect("a figure")
}

/// Somebody who does the same over and over.
struct Others {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Others {
    fn start(folder: &TempDir, once: fn(&mut Connection)) -> Self {
        let mut conn = open(folder);
        let patient = |_| {
            thread::sleep(PATIENCE);
            true
        };
        conn.busy_handler(Some(patient)).expect("a connection");
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut waits = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                let began = Instant::now();
                once(&mut conn);
                waits.push(began.elapsed().as_secs_f64() * 1e3);
                thread::sleep(Duration::from_millis(1));
            }
            waits
        });
        Self { is_over, thread }
    }

    /// How long each took, in milliseconds.
    fn stop(self) -> Vec<f64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends")
    }
}

/// A batch of points, as far as it waits for the rollup's transactions. It is not synced: the disk is not what is measured.
fn write(conn: &mut Connection) {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).expect("a transaction");
    let sql = "INSERT INTO points (id, series, value) SELECT max(id) + 1, 1, 1.0 FROM points";
    tx.execute(sql, []).expect("a point");
    tx.commit().expect("committed");
}

/// A chart's worth of minutes.
fn read(conn: &mut Connection) {
    let sql = "SELECT sum(count) FROM minutes WHERE bucket BETWEEN ?1 AND ?2 AND series = 7";
    let _: Option<i64> = conn.query_row(sql, [HOUR, HOUR + 600], |row| row.get(0)).expect("a sum");
}
