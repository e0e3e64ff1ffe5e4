//! Measures every figure of metrics-collector on the machine at hand: `make bench`. Prints a table and writes it to
//! `docs/performance.md`. The load comes from `wrk` on the same machine; rate limits are off.

mod questions;
mod rollup;
mod volume;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use common::testing::figures::load::{self, CONNECTIONS, Load, Step};
use common::testing::figures::{self, Table};
use common::testing::{self, Service, TempDir};

const KEY: &str = "bench";
/// Seconds of each load.
const LOAD_SECONDS: u32 = 10;
/// What the load script has in a batch.
const POINTS_PER_BATCH: f64 = 100.0;

fn main() {
    figures::run(&[
        ("metrics-collector", measure),
        ("metrics-collector-load", under_load),
        ("metrics-collector-volume", volume::measure),
    ]);
}

fn binary() -> PathBuf {
    testing::binary("metrics-collector", env!("CARGO_BIN_EXE_metrics-collector"))
}

fn measure() {
    let binary = binary();
    let mut table = Table::default();
    let megabytes = std::fs::metadata(&binary).expect("the binary").len() as f64 / 1e6;
    table.add("static binary, stripped", "under 4.5 MB", format!("{megabytes:.2} MB"), megabytes < 4.5);
    let idle = TempDir::new();
    let service = start(&binary, idle.path());
    // The figure is defined as the memory five seconds after the start.
    thread::sleep(Duration::from_secs(5));
    table.add("RSS idle, 5 s after start", "-", format!("{:.1} MB", service.memory() as f64 / 1e6), true);
    assert!(service.terminate().success());
    points(&binary, &mut table);
    questions::measure(&binary, &mut table);
    rollup::measure(&mut table);
    let note = format!(
        "The load generator (`wrk`, 2 threads, 16 connections, {LOAD_SECONDS} s each) runs on the same machine and sends \
         batches of 100 points. `RATE_LIMIT=0`. Every answer is sent after its fsync (`synchronous=FULL`)."
    );
    table.write("metrics-collector", &note);
}

fn under_load() {
    let step = |connections| {
        let folder = TempDir::new();
        let service = start(&binary(), folder.path());
        Step::measure(&service, connections, |connections| send(&service, "2000", connections, load::SECONDS))
    };
    let steps: Vec<Step> = CONNECTIONS.map(step).into();
    let note = format!(
        "Batches of 100 points in 2,000 series into an empty database for each number of connections; `wrk` runs on the same machine, \
         {} s each. `RATE_LIMIT=0`. Every answer is sent after its fsync (`synchronous=FULL`). Latencies are those of a batch.",
        load::SECONDS
    );
    load::write("metrics-collector-load", &note, "points", POINTS_PER_BATCH, &steps);
}

fn send(service: &Service, series: &str, connections: u32, seconds: u32) -> Load {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/points.lua");
    load::wrk(service.address(), &script, &[("KEY", KEY), ("SERIES", series)], connections, seconds)
}

fn start(binary: &Path, folder: &Path) -> Service {
    let database = folder.join("metrics.db");
    let database = database.to_str().expect("a readable path");
    Service::start(binary, &[("API_KEY", KEY), ("DATABASE_PATH", database), ("RATE_LIMIT", "0")])
}

fn points(binary: &Path, table: &mut Table) {
    for (series, goal) in [("2000", 300_000.0), ("10000", 300_000.0)] {
        let folder = TempDir::new();
        let service = start(binary, folder.path());
        let load = send(&service, series, 16, LOAD_SECONDS);
        let rate = load.rate * POINTS_PER_BATCH;
        let measured = format!("{rate:.0}/s, p99 {:.0} ms", load.p99);
        table.add(&format!("points in {series} series"), "300,000/s", measured, rate >= goal);
        let peak = service.peak_memory() as f64 / 1e6;
        table.add(
            &format!("peak RSS under this load, {series} series"),
            "under 20 MB",
            format!("{peak:.1} MB"),
            peak < 20.0,
        );
        let stored = received(&service);
        assert!(service.terminate().success());
        let bytes = std::fs::metadata(folder.path().join("metrics.db")).expect("the file").len() as f64 / stored;
        table.add(
            &format!("bytes of disk per point, {series} series"),
            "under 40",
            format!("{bytes:.1}"),
            bytes < 40.0,
        );
    }
}

fn received(service: &Service) -> f64 {
    let client = service.client(KEY);
    client.get("/health").json()["metrics_received_24h"].as_f64().expect("a count")
}
