//! Measures every figure of browser-relay on the machine at hand: `make bench`. Prints a table and writes it to
//! `docs/performance.md`. error-tracker stands behind it, `wrk` in front, all on one machine; rate limits are off.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::testing::figures::load::{self, CONNECTIONS, Load, Step};
use common::testing::figures::{self, Table};
use common::testing::{self, Random, Service, TempDir};
use serde_json::{Value, json};

const KEY: &str = "bench";
/// Seconds of each load.
const LOAD_SECONDS: u32 = 10;

fn main() {
    figures::run(&[("browser-relay", measure), ("browser-relay-load", under_load)]);
}

fn binary() -> PathBuf {
    testing::binary("browser-relay", env!("CARGO_BIN_EXE_browser-relay"))
}

fn measure() {
    let binary = binary();
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
    relay.terminate();
    let starts = || start(&binary, folder.path(), &tracker);
    let map = large_map();
    upload(&starts(), &map, &mut table);
    one_frame(starts, &mut table);
    let note = format!(
        "error-tracker and the load generator (`wrk`, {LOAD_SECONDS} s each) run on the same machine. `RATE_LIMIT=0`. Every \
         answer is sent after error-tracker's fsync. The map has {:.2} MB, half of it sources; the frame is the first request for a \
         map after a start, with its round trip, when every worker has answered for another map.",
        map.len() as f64 / 1e6
    );
    table.write("browser-relay", &note);
}

fn under_load() {
    let binary = binary();
    let step = |connections| {
        let folder = TempDir::new();
        let tracker = start_tracker(&binary.with_file_name("error-tracker"), folder.path());
        let relay = start(&binary, folder.path(), &tracker);
        Step::measure(&relay, connections, |connections| send(&relay, "relay", connections, load::SECONDS))
    };
    let steps: Vec<Step> = CONNECTIONS.map(step).into();
    let note = format!(
        "Errors of pages, forwarded to an error-tracker with an empty database for each number of connections; that and `wrk` ({} s each) \
         run on the same machine. `RATE_LIMIT=0`. Every answer is sent after error-tracker's fsync. Memory and CPU are the relay's.",
        load::SECONDS
    );
    load::write("browser-relay-load", &note, "errors", 1.0, &steps);
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
    let busy = send(relay, "relay", 32, LOAD_SECONDS);
    let measured = format!("{:.0}/s, p99 {:.0} ms", busy.rate, busy.p99);
    table.add("errors end to end, 32 connections", "2,000/s", measured, busy.rate >= 2000.0);
    let (through, direct) = (send(relay, "relay", 1, LOAD_SECONDS), send(tracker, "tracker", 1, LOAD_SECONDS));
    let added = through.p50 - direct.p50;
    let measured = format!("{added:.2} ms ({:.2} ms, error-tracker alone {:.2} ms)", through.p50, direct.p50);
    table.add("latency that the relay adds, one connection, p50", "under 1 ms", measured, added < 1.0);
    let peak = relay.peak_memory() as f64 / 1e6;
    table.add("peak RSS under these loads", "under 22 MB", format!("{peak:.1} MB"), peak < 22.0);
}

fn send(service: &Service, mode: &str, connections: u32, seconds: u32) -> Load {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/error.lua");
    load::wrk(service.address(), &script, &[("MODE", mode), ("KEY", KEY)], connections, seconds)
}

/// Uploads of a map, one after the other, each in place of the one before.
const UPLOADS: usize = 5;
/// Starts with one frame each.
const FRAMES: usize = 9;
/// The workers take turns, and there are 16.
const WARM_UPS: usize = 64;
const RESOLVE: &str = "/api/source-maps/resolve?project=web&release=1";
const LINES: u32 = 40;
const SEGMENTS_PER_LINE: u32 = 8_000;

fn upload(relay: &Service, map: &str, table: &mut Table) {
    let body = json!({"project": "web", "release": "1", "file_url": "/app.min.js", "map_content": map});
    let client = relay.client(KEY);
    let small = r#"{"version":3,"sources":["a"],"names":[],"mappings":"AAAA"}"#;
    let small = json!({"project": "web", "release": "1", "file_url": "/small.js", "map_content": small});
    assert_eq!(client.post_json("/api/source-maps", &small).status, 201);
    let times = (0..UPLOADS).map(|_| {
        let began = Instant::now();
        let answer = client.post_json("/api/source-maps", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        began.elapsed().as_secs_f64() * 1e3
    });
    let took = figures::percentile(&mut times.collect::<Vec<_>>(), 50);
    let peak = relay.peak_memory() as f64 / 1e6;
    let goal = "under 300 ms, peak RSS under 22 MB";
    table.add("upload of a 5 MB map", goal, format!("{took:.0} ms, {peak:.1} MB"), took < 300.0 && peak < 22.0);
}

fn one_frame(start: impl Fn() -> Service, table: &mut Table) {
    let (mut times, mut grown) = (Vec::new(), Vec::new());
    for start_number in 0..FRAMES {
        let relay = start();
        let client = relay.client(KEY);
        // Every worker has its connection to the database, and only the map is untouched.
        for _ in 0..WARM_UPS {
            client.get(&format!("{RESOLVE}&url=/small.js&line=1&column=1"));
        }
        let before = relay.memory();
        let began = Instant::now();
        let place = format!("line={}&column={}", 1 + start_number, 5_000 + start_number);
        let answer = client.get(&format!("{RESOLVE}&url=/app.min.js&{place}"));
        times.push(began.elapsed().as_secs_f64() * 1e3);
        grown.push((relay.memory() - before.min(relay.memory())) as f64 / 1e3);
        assert_eq!(answer.json()["status"], "resolved", "{}", answer.text());
        relay.terminate();
    }
    let (took, grew) = (figures::percentile(&mut times, 50), figures::percentile(&mut grown, 50));
    let measured = format!("{took:.2} ms, {grew:.0} KB");
    table.add("one frame in a 5 MB map, cold", "under 1 ms, under 200 KB", measured, took < 1.0 && grew < 200.0);
}

/// A map as of a large bundle: 200 sources with their text, 320,000 segments.
fn large_map() -> String {
    let mut random = Random::new();
    let (mut mappings, mut last) = (String::new(), [0_i64; 4]);
    for line in 0..LINES {
        if line > 0 {
            mappings.push(';');
        }
        for segment in 0..SEGMENTS_PER_LINE {
            if segment > 0 {
                mappings.push(',');
            }
            let next = [
                i64::from(segment) % 200,
                random.below(400) as i64,
                random.below(80) as i64,
                random.below(2_000) as i64,
            ];
            write_vlq(&mut mappings, if segment == 0 { 0 } else { 1 + random.below(9) as i64 });
            for (next, last) in next.iter().zip(&last) {
                write_vlq(&mut mappings, next - last);
            }
            last = next;
        }
    }
    let source = |number: usize| {
        format!("export function part{number}(order) {{ return order.total * {number}; }}\n").repeat(150)
    };
    let sources: Vec<Value> = (0..200).map(|number| json!(format!("../src/part{number}.ts"))).collect();
    let names: Vec<Value> = (0..2_000).map(|number| json!(format!("name{number}"))).collect();
    let contents: Vec<Value> = (0..200).map(|number| json!(source(number))).collect();
    json!({"version": 3, "sources": sources, "names": names, "sourcesContent": contents, "mappings": mappings})
        .to_string()
}

/// Base 64 VLQ as in ECMA-426.
fn write_vlq(out: &mut String, value: i64) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rest = (value.unsigned_abs() << 1) | u64::from(value < 0);
    loop {
        let digit = (rest & 31) as usize;
        rest >>= 5;
        let _ = out.write_char(char::from(DIGITS[digit | if rest > 0 { 32 } else { 0 }]));
        if rest == 0 {
            return;
        }
    }
}
