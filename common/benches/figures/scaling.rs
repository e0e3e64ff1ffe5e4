//! What an event costs, in time of a core and in bytes on the disk, and from that where one machine ends: into `docs/scaling.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::clock::{Clock, Timestamp};
use common::testing::docker_logs::Logs;
use common::testing::figures::load::{Load, wrk};
use common::testing::figures::{page, repository, with_commas};
use common::testing::{self, PATIENCE, Service, TempDir};
use serde_json::json;

use super::binaries;

const KEY: &str = "bench";
const SECONDS: u32 = 6;
const LINES: usize = 300_000;
const CONTAINERS: usize = 20;
const POINTS_PER_BATCH: f64 = 100.0;
/// For rollups: series, half of them histograms, with a point in each of these minutes.
const SERIES: usize = 400;
const MINUTES: i64 = 40;
/// In one request (metrics-collector takes 1,000).
const BATCH: usize = 1000;

/// The machine that is asked about: what small servers are rented with.
const CORES: f64 = 2.0;
const DISK: f64 = 25e9;
/// The other half of the cores is the application's, and of the disk too: a backup takes as much as the files.
const SHARE: f64 = 0.5;

/// For a request that the application answers: what it prints, measures and reports. An assumption, said on the page.
const LINES_PER_REQUEST: f64 = 5.0;
/// One is counted, and one is timed, and one is the application's own.
const POINTS_PER_REQUEST: f64 = 3.0;
const ERRORS_PER_REQUEST: f64 = 0.01;
const BROWSER_ERRORS_PER_REQUEST: f64 = 0.005;
const NEW_ERRORS_PER_ERROR: f64 = 0.01;
/// How long a team wants to look back into its logs.
const LOG_DAYS: f64 = 7.0;
/// What is kept of single points, and of rollups (defaults of metrics-collector).
const RAW_SECONDS: f64 = 3600.0;
const BUCKETS_PER_SERIES: f64 = 24.0 * 60.0 + 30.0 * 24.0;
/// What the application has, whatever its traffic.
const SERIES_OF_APPLICATION: f64 = 1000.0;
/// As long as resolved errors are kept (default of error-tracker).
const ERROR_DAYS: f64 = 90.0;
const DAY: f64 = 86_400.0;

/// Of an event.
#[derive(Clone, Copy)]
struct Cost {
    micros: f64,
    bytes: f64,
}

struct Costs {
    error: Cost,
    error_alone: Cost,
    again: Cost,
    line: Cost,
    point: Cost,
    batch_alone: Cost,
    bucket: Cost,
    relayed: Cost,
}

/// Measures, and writes the part of the page that is computed.
pub(crate) fn measure() {
    let (error, error_alone, again) = errors();
    let line = lines();
    let (point, batch_alone) = points();
    let costs = Costs { error, error_alone, again, line, point, batch_alone, bucket: buckets(), relayed: relayed() };
    let text = format!("{}\n{}", costs.table(), costs.one_machine());
    eprintln!("{text}");
    let page = repository("docs/scaling.md");
    page::write_between(&page, "<!-- Written by make bench: -->", "<!-- Until here. -->", &text);
    page::write("scaling", "What an event costs, and where one machine ends, is in [scaling](scaling.md).");
}

impl Costs {
    fn table(&self) -> String {
        let mut text = "| service | event | CPU, µs | on disk, bytes |\n|---|---|---|---|\n".to_owned();
        for (service, event, cost) in [
            ("error-tracker", "a new error of 2.9 KB, under full load", self.error),
            ("error-tracker", "a new error of 2.9 KB, one at a time", self.error_alone),
            ("error-tracker", "an error that is known, under full load", self.again),
            ("log-viewer", "a line of 100 to 200 bytes, with its index", self.line),
            ("metrics-collector", "a point, in a batch of 100 under full load", self.point),
            ("metrics-collector", "a point, in a batch of 100, one batch at a time", self.batch_alone),
            ("metrics-collector", "a minute of a series, rolled up (half of them histograms)", self.bucket),
            ("browser-relay", "an error of a page of 2.2 KB, beside what error-tracker takes", self.relayed),
        ] {
            let _ = writeln!(text, "| {service} | {event} | {:.1} | {} |", cost.micros, with_commas(cost.bytes));
        }
        text
    }

    /// What a service takes at one request a second: microseconds of a core each second, bytes that are kept; and what it
    /// keeps whatever the traffic.
    fn shares(&self) -> [(&'static str, f64, f64, f64); 4] {
        let reported = ERRORS_PER_REQUEST + BROWSER_ERRORS_PER_REQUEST;
        let error_micros = NEW_ERRORS_PER_ERROR * self.error.micros + (1.0 - NEW_ERRORS_PER_ERROR) * self.again.micros;
        let new_errors = reported * NEW_ERRORS_PER_ERROR;
        let buckets = SERIES_OF_APPLICATION * BUCKETS_PER_SERIES * self.bucket.bytes;
        let points = POINTS_PER_REQUEST * RAW_SECONDS;
        [
            (
                "log-viewer",
                LINES_PER_REQUEST * self.line.micros,
                LINES_PER_REQUEST * LOG_DAYS * DAY * self.line.bytes,
                0.0,
            ),
            ("metrics-collector", POINTS_PER_REQUEST * self.point.micros, points * self.point.bytes, buckets),
            ("error-tracker", reported * error_micros, new_errors * ERROR_DAYS * DAY * self.error.bytes, 0.0),
            ("browser-relay", BROWSER_ERRORS_PER_REQUEST * self.relayed.micros, 0.0, 0.0),
        ]
    }

    fn one_machine(&self) -> String {
        let (cores, disk) = (CORES * SHARE, DISK * SHARE);
        let mut text = format!(
            "### Where one machine ends\n\n{CORES:.0} cores and a disk of {:.0} GB, half of each for Monlight: the other half of the cores is the \
             application's, that of the disk is for a backup and the rest of the machine. Each kind of event alone:\n\n\
             | event | by CPU | by disk | what ends first |\n|---|---|---|---|\n",
            DISK / 1e9
        );
        for (event, cost, kept, how_long) in [
            ("new errors", self.error, ERROR_DAYS * DAY, "kept 90 days"),
            ("errors that are known", self.again, 0.0, ""),
            ("lines", self.line, LOG_DAYS * DAY, "kept 7 days"),
            ("points", self.point, RAW_SECONDS, "kept an hour"),
            ("errors of pages", Cost { micros: self.relayed.micros + self.again.micros, bytes: 0.0 }, 0.0, ""),
        ] {
            let by_cpu = cores * 1e6 / cost.micros;
            let by_disk = disk / (cost.bytes * kept);
            let shown = if how_long.is_empty() {
                "nothing is kept".to_owned()
            } else {
                format!("{}/s, {how_long}", rate(by_disk))
            };
            let first = if how_long.is_empty() || by_cpu < by_disk { "CPU" } else { "disk" };
            let _ = writeln!(text, "| {event} | {}/s | {shown} | {first} |", with_commas(by_cpu));
        }
        let _ = write!(text, "\n{}", self.application(cores, disk));
        text
    }

    fn application(&self, cores: f64, disk: f64) -> String {
        let shares = self.shares();
        let micros: f64 = shares.iter().map(|share| share.1).sum();
        let bytes: f64 = shares.iter().map(|share| share.2).sum();
        let fixed: f64 = shares.iter().map(|share| share.3).sum();
        let (by_cpu, by_disk) = (cores * 1e6 / micros, (disk - fixed) / bytes);
        let first = if by_cpu < by_disk { "the cores end" } else { "the disk ends" };
        let a_day = bytes - shares[0].2 * (1.0 - 1.0 / LOG_DAYS);
        let mut text = format!(
            "An application that prints {LINES_PER_REQUEST} lines and sends {POINTS_PER_REQUEST} points for each request, reports an error for one \
             in {}, and whose pages report one for each {}; one error in {} is new, there are {} series, and logs are kept for {LOG_DAYS} \
             days. By CPU the machine ends at **{} requests/s**, by disk at **{} requests/s**: {first} first. With logs of one day \
             the disk is enough for {} requests/s.\n\n\
             | service | share of the CPU | share of the disk at that point |\n|---|---|---|\n",
            1.0 / ERRORS_PER_REQUEST,
            1.0 / BROWSER_ERRORS_PER_REQUEST,
            1.0 / NEW_ERRORS_PER_ERROR,
            with_commas(SERIES_OF_APPLICATION),
            with_commas(by_cpu),
            with_commas(by_disk),
            with_commas((disk - fixed) / a_day),
        );
        let end = by_cpu.min(by_disk);
        for (service, share, kept, always) in shares {
            let of_disk = 100.0 * (kept * end + always) / (bytes * end + fixed);
            let _ = writeln!(text, "| {service} | {:.1} % | {of_disk:.1} % |", 100.0 * share / micros);
        }
        let most = |of: fn(&(&'static str, f64, f64, f64)) -> f64| {
            shares.iter().max_by(|a, b| of(a).total_cmp(&of(b))).map_or("", |share| share.0)
        };
        let most = if by_cpu < by_disk { most(|share| share.1) } else { most(|share| share.2) };
        let _ = writeln!(text, "\nWhat takes most of what ends first is {most}.");
        text
    }
}

/// Of what is seldom, one digit more.
fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { with_commas(per_second) }
}

fn start(name: &str, folder: &Path, variables: &[(&str, &str)]) -> Service {
    let database = database(folder, name);
    let own = [("API_KEY", KEY), ("DATABASE_PATH", &database), ("RATE_LIMIT", "0")];
    Service::start(&binaries().join(name), &[&own[..], variables].concat())
}

fn database(folder: &Path, name: &str) -> String {
    folder.join(format!("{name}.db")).to_str().expect("a readable path").to_owned()
}

/// Of the file, when its service has ended or only just started.
fn bytes(folder: &Path, name: &str) -> f64 {
    fs::metadata(database(folder, name)).expect("the file").len() as f64
}

fn send(service: &Service, script: &str, variables: &[(&str, &str)], connections: u32) -> Load {
    let variables = [&[("KEY", KEY)][..], variables].concat();
    wrk(service.address(), &repository(script), &variables, connections, SECONDS)
}

/// What `each` of the events in a request cost, of a service that is loaded from its start to its end.
fn of_load(name: &str, script: &str, mode: &[(&str, &str)], connections: u32, each: f64) -> Cost {
    let folder = TempDir::new();
    // With its tables, and nothing in them.
    assert!(start(name, folder.path(), &[]).terminate().success());
    let empty = bytes(folder.path(), name);
    let service = start(name, folder.path(), &[]);
    let cpu = service.cpu_seconds();
    let events = send(&service, script, mode, connections).rate * f64::from(SECONDS) * each;
    let micros = (service.cpu_seconds() - cpu) * 1e6 / events;
    assert!(service.terminate().success());
    let cost = Cost { micros, bytes: (bytes(folder.path(), name) - empty) / events };
    eprintln!("{name} {mode:?}, {connections} connections: {:.2} µs and {:.1} bytes each", cost.micros, cost.bytes);
    cost
}

fn errors() -> (Cost, Cost, Cost) {
    let cost = |mode, connections| {
        of_load("error-tracker", "error-tracker/benches/report.lua", &[("MODE", mode)], connections, 1.0)
    };
    (cost("unique", 64), cost("unique", 1), cost("repeated", 64))
}

fn points() -> (Cost, Cost) {
    let script = "metrics-collector/benches/points.lua";
    let cost = |connections| of_load("metrics-collector", script, &[("SERIES", "2000")], connections, POINTS_PER_BATCH);
    (cost(16), cost(1))
}

/// Lines that are there before the start, read until they are stored.
fn lines() -> Cost {
    let (folder, logs) = (TempDir::new(), Logs::empty(CONTAINERS));
    logs.write(0..LINES);
    let variables = [
        ("LOG_SOURCES", logs.folder().to_str().expect("a readable path")),
        ("TAIL_BUFFER", "1000000000000"),
        ("MAX_ENTRIES", "10000000"),
    ];
    let service = start("log-viewer", folder.path(), &variables);
    let is_stored = || (service.figure(KEY, "monlight_log_entries_total") >= LINES as f64).then_some(());
    testing::wait_up_to(10 * PATIENCE, "all lines", is_stored);
    let micros = service.cpu_seconds() * 1e6 / LINES as f64;
    assert!(service.terminate().success());
    let cost = Cost { micros, bytes: bytes(folder.path(), "log-viewer") / LINES as f64 };
    eprintln!("log-viewer: {:.2} µs and {:.1} bytes each", cost.micros, cost.bytes);
    cost
}

/// Minutes of series, and the hours that come of them: points of the hour before are sent, rolled up, and then let go, so that
/// rollups are all that is left in the file.
fn buckets() -> Cost {
    let name = "metrics-collector";
    let folder = TempDir::new();
    assert!(start(name, folder.path(), &[]).terminate().success());
    let empty = bytes(folder.path(), name);
    let service = start(name, folder.path(), &[("RETENTION_RAW", "3"), ("AGGREGATION_INTERVAL", "1")]);
    let client = service.client(KEY);
    // A quarter of an hour within what is kept an hour, for the next start.
    let first = Clock::System.now().millis() / 60_000 - 75 - MINUTES;
    for minute in first..first + MINUTES {
        let at = Timestamp::from_millis(minute * 60_000).to_string();
        let item = |number: usize| {
            let kind = if number % 2 == 1 { "histogram" } else { "counter" };
            json!({"name": kind, "type": kind, "value": 0.5 + number as f64 / 1e3, "labels": {"n": number.to_string()}, "timestamp": at})
        };
        for batch in (0..SERIES).collect::<Vec<_>>().chunks(BATCH) {
            let items: Vec<_> = batch.iter().map(|number| item(*number)).collect();
            let answer = client.post_json("/api/metrics", &json!(items));
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
    }
    let rolled_up = || (service.figure(KEY, "monlight_rollup_minutes_total") >= MINUTES as f64).then_some(());
    testing::wait_up_to(10 * PATIENCE, "all minutes to be rolled up", rolled_up);
    testing::wait_up_to(10 * PATIENCE, "an hour", || {
        (service.figure(KEY, "monlight_rollup_hours_total") >= 1.0).then_some(())
    });
    let count = SERIES as f64 * MINUTES as f64;
    let micros = 1e6
        * (service.figure(KEY, "monlight_rollup_minutes_seconds_total")
            + service.figure(KEY, "monlight_rollup_hours_seconds_total"))
        / count;
    assert!(service.terminate().success());
    let service = start(name, folder.path(), &[("RETENTION_RAW", "1")]);
    let deleted = || (service.figure(KEY, "monlight_points_deleted_total") >= count).then_some(());
    testing::wait_up_to(10 * PATIENCE, "the points to go", deleted);
    steady(&folder, name);
    assert!(service.terminate().success());
    let cost = Cost { micros, bytes: (bytes(folder.path(), name) - empty) / count };
    eprintln!("rollups: {:.2} µs and {:.1} bytes each", cost.micros, cost.bytes);
    cost
}

/// A file gives its space back in small steps: waits until it is as large as it stays.
fn steady(folder: &TempDir, name: &str) {
    const STEADY: Duration = Duration::from_secs(5);
    let (mut size, mut since) = (bytes(folder.path(), name), std::time::Instant::now());
    testing::wait_up_to(10 * PATIENCE, "the file to stay as it is", || {
        let now = bytes(folder.path(), name);
        if (now - size).abs() > 0.5 {
            (size, since) = (now, std::time::Instant::now());
        }
        (since.elapsed() > STEADY).then_some(())
    });
}

fn relayed() -> Cost {
    let folder = TempDir::new();
    let tracker = start("error-tracker", folder.path(), &[]);
    let tracker_url = format!("http://{}", tracker.address());
    let dsn_keys = format!("web:{KEY}");
    let database = database(folder.path(), "browser-relay");
    let relay = Service::start(
        &binaries().join("browser-relay"),
        &[
            ("ADMIN_API_KEY", KEY),
            ("ERROR_TRACKER_URL", &tracker_url),
            ("ERROR_TRACKER_API_KEY", KEY),
            ("METRICS_COLLECTOR_URL", &tracker_url),
            ("METRICS_COLLECTOR_API_KEY", KEY),
            ("DSN_KEYS", &dsn_keys),
            ("DATABASE_PATH", &database),
            ("RATE_LIMIT", "0"),
        ],
    );
    let cpu = relay.cpu_seconds();
    let load = send(&relay, "browser-relay/benches/error.lua", &[("MODE", "relay")], 32);
    let micros = (relay.cpu_seconds() - cpu) * 1e6 / (load.rate * f64::from(SECONDS));
    eprintln!("browser-relay: {micros:.2} µs each");
    Cost { micros, bytes: 0.0 }
}
