//! Measures every figure of browser-relay on the machine at hand: `make bench`. Prints a table and writes it to
//! `docs/performance.md`. error-tracker stands behind it, `wrk` in front, all on one machine; rate limits are off.

use std::path::Path;
use std::thread;
use std::time::Duration;

use common::testing::figures::{self, Load, Table};
use common::testing::{self, Service, TempDir};

const KEY: &str = "bench";
/// Seconds of each load.
const LOAD_SECONDS: u32 = 10;

fn main() {
    let binary = testing::binary("browser-relay", env!("CARGO_BIN_EXE_browser-relay"));
    let mut table = Table::default();
    let megabytes = std::fs::metadata(&binary).expect("the binary").len() as f64 / 1e6;
    table.add("static binary, stripped", "under 5 MB", format!("{megabytes:.2} MB"), megabytes < 5.0);
    let folder = TempDir::new();
    let tracker = start_tracker(&binary.with_file_name("error-tracker"), folder.path());
    let relay = start(&binary, folder.path(), &tracker);
    // The figure is defined as the memory five seconds after the start.
    thread::sleep(Duration::from_secs(5));
    let idle = relay.memory() as f64 / 1e6;
    table.add("RSS idle, 5 s after start", "under 5 MB", format!("{idle:.1} MB"), idle < 5.0);
    errors(&relay, &tracker, &mut table);
    let note = format!(
        "error-tracker and the load generator (`wrk`, {LOAD_SECONDS} s each) run on the same machine. `RATE_LIMIT=0`. Every \
         answer is sent after error-tracker's fsync."
    );
    table.write("browser-relay", &note);
}

fn start_tracker(binary: &Path, folder: &Path) -> Service {
    let database = folder.join("errors.db");
    let database = database.to_str().expect("a readable path");
    Service::start(binary, &[("API_KEY", KEY), ("DATABASE_PATH", database), ("RATE_LIMIT", "0")])
}

fn start(binary: &Path, folder: &Path, tracker: &Service) -> Service {
    let (database, tracker) = (folder.join("relay.db"), format!("http://{}", tracker.address()));
    Service::start(
        binary,
        &[
            ("ADMIN_API_KEY", KEY),
            ("ERROR_TRACKER_URL", &tracker),
            ("ERROR_TRACKER_API_KEY", KEY),
            ("METRICS_COLLECTOR_URL", &tracker),
            ("METRICS_COLLECTOR_API_KEY", KEY),
            ("DSN_KEYS", &format!("web:{KEY}")),
            ("DATABASE_PATH", database.to_str().expect("a readable path")),
            ("RATE_LIMIT", "0"),
        ],
    )
}

fn errors(relay: &Service, tracker: &Service, table: &mut Table) {
    let busy = load(relay, "relay", 32);
    let measured = format!("{:.0}/s, p99 {:.0} ms", busy.rate, busy.p99);
    table.add("errors end to end, 32 connections", "2,000/s", measured, busy.rate >= 2000.0);
    let (through, direct) = (load(relay, "relay", 1), load(tracker, "tracker", 1));
    let added = through.p50 - direct.p50;
    let measured = format!("{added:.2} ms ({:.2} ms, error-tracker alone {:.2} ms)", through.p50, direct.p50);
    table.add("latency that the relay adds, one connection, p50", "under 1 ms", measured, added < 1.0);
    let peak = relay.peak_memory() as f64 / 1e6;
    table.add("peak RSS under these loads", "under 22 MB", format!("{peak:.1} MB"), peak < 22.0);
}

fn load(service: &Service, mode: &str, connections: u32) -> Load {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/error.lua");
    figures::wrk(service.address(), &script, &[("MODE", mode), ("KEY", KEY)], connections, LOAD_SECONDS)
}
