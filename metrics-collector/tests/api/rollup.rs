//! Rollups as they are on disk: exact, once, whenever points come and however often the service dies.
//!
//! Points are put into the file while the service is down, as it stores them itself, in hours that are over.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::clock::{Clock, Timestamp};
use common::db::with_suffix;
use common::testing::database::read_only;
use common::testing::{Client, PATIENCE, Random, Service, TempDir, wait_for};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use serde_json::json;

use crate::{KEY, database_in, start_in};

/// Rolls up all the time and keeps everything.
const EAGER: [(&str, &str); 3] =
    [("AGGREGATION_INTERVAL", "1"), ("RETENTION_RAW", "1000"), ("RETENTION_MINUTE", "1000")];
const TYPES: [&str; 3] = ["histogram", "counter", "gauge"];
/// As often as this is a service killed while it rolls up.
const KILLS: usize = 12;

/// A point as the table has it: id, series, value.
type Point = (i64, i64, f64);

/// The start of an hour, three hours ago.
fn first_hour() -> i64 {
    let second = Clock::System.now().millis() / 1000;
    second - second % 3600 - 3 * 3600
}

/// A number from 0 to 1, and shapes it can be given.
fn value_of(series: i64, random: &mut Random) -> f64 {
    let mut share = || (random.below(1 << 30) as f64 + 0.5) / (1_u64 << 30) as f64;
    match series % 7 {
        0 => share() * 1000.0,
        1 => (4.0 + (-2.0 * share().ln()).sqrt() * (std::f64::consts::TAU * share()).cos()).exp(),
        2 => {
            if share() < 0.8 {
                10.0 + share()
            } else {
                5000.0 + share()
            }
        }
        3 => 7.0,
        4 => -share(),
        5 => share() * 1e300,
        _ => share() * 1e-300,
    }
}

/// So many points of so many series in two hours, as they may arrive: in any order.
fn points(series: i64, count: usize, random: &mut Random) -> Vec<Point> {
    let start = first_hour() * 1000;
    let mut point = |number: usize| {
        let series = 1 + random.below(series as usize) as i64;
        let millis = start + random.below(7_200_000) as i64;
        ((millis << 21) + number as i64, series, value_of(series, random))
    };
    (0..count).map(&mut point).collect()
}

/// A folder with a database that has these points and has rolled up nothing.
fn home(series: i64, points: &[Point]) -> TempDir {
    let folder = TempDir::new();
    assert!(start_in(&folder, &EAGER).terminate().success());
    let mut conn = open(&database_in(&folder));
    let tx = conn.transaction().unwrap();
    for id in 1..=series {
        let kind = TYPES[id as usize % TYPES.len()];
        let sql = "INSERT INTO series (id, name, type, project, labels, last_hour) VALUES (?1, ?2, ?3, '', '{}', ?4)";
        tx.execute(sql, params![id, format!("series {id}"), kind, first_hour()]).unwrap();
    }
    add(&tx, points);
    tx.commit().unwrap();
    folder
}

fn add(tx: &Connection, points: &[Point]) {
    let mut statement = tx.prepare("INSERT INTO points (id, series, value) VALUES (?1, ?2, ?3)").unwrap();
    for point in points {
        statement.execute(*point).unwrap();
    }
}

/// Whether the service says that it has these points.
fn post(client: &Client, batch: &[Point]) -> bool {
    let item = |(id, series, value): &Point| {
        let kind = TYPES[*series as usize % TYPES.len()];
        json!({"name": format!("series {series}"), "type": kind, "value": value, "timestamp": id >> 21})
    };
    let body: serde_json::Value = batch.iter().map(item).collect();
    client.send("POST", "/api/metrics", body.to_string().as_bytes()).is_ok_and(|answer| {
        assert_eq!(answer.status, 202, "{}", answer.text());
        true
    })
}

#[expect(clippy::disallowed_methods, reason = "a test looks into the file, and puts points into it")]
fn open(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn
}

/// Waits until all that is stored is rolled up: two hours are, and nothing is pending.
#[track_caller]
fn wait_for_rollups(folder: &TempDir) {
    let conn = read_only(&database_in(folder));
    let sql = "SELECT (SELECT count(*) FROM pending), (SELECT count(DISTINCT bucket) FROM hours)";
    wait_for("all rollups", || {
        let state: (i64, i64) = conn.query_row(sql, [], |row| <(i64, i64)>::try_from(row)).unwrap();
        (state == (0, 2)).then_some(())
    });
}

/// All that rollups have written.
fn tables(folder: &TempDir) -> Vec<Vec<Value>> {
    let conn = read_only(&database_in(folder));
    let mut rows = Vec::new();
    for table in ["minutes", "minute_sketches", "hours", "hour_sketches", "pending", "points"] {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        rows.extend(statement.query_map([], row).unwrap().map(Result::unwrap));
    }
    rows
}

#[track_caller]
fn check_against_python(folder: &TempDir) {
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/rollup.py"))
        .arg(database_in(folder))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// A figure of the service about itself.
fn figure(service: &Service, name: &str) -> f64 {
    let page = service.client(KEY).get("/metrics").text();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
}

/// Waits for so many rounds to end: the lag falls with each.
#[track_caller]
fn wait_for_rounds(service: &Service, mut count: usize) {
    let mut before = 0.0;
    wait_for("more rounds", || {
        let lag = figure(service, "monlight_rollup_lag_seconds");
        count -= usize::from(lag < before);
        before = lag;
        (count == 0).then_some(())
    });
}

#[test]
fn every_minute_and_hour_is_what_python_makes_of_the_points() {
    let mut random = Random::new();
    let folder = home(60, &points(60, 60_000, &mut random));
    let service = start_in(&folder, &EAGER);
    wait_for_rollups(&folder);
    assert!(service.terminate().success());
    check_against_python(&folder);
}

#[test]
fn a_service_that_is_killed_while_it_rolls_up_ends_with_the_same_tables() {
    let mut random = Random::new();
    let mut points = points(700, 120_000, &mut random);
    let undisturbed = home(700, &points);
    points.reverse();
    let disturbed = home(700, &points);
    let service = start_in(&undisturbed, &EAGER);
    wait_for_rollups(&undisturbed);
    assert!(service.terminate().success());

    let mut done_before = 0;
    for _ in 0..KILLS {
        let service = start_in(&disturbed, &EAGER);
        let more = done_before + random.below(8000) as i64;
        let conn = read_only(&database_in(&disturbed));
        let done = || -> i64 { conn.query_row("SELECT count(*) FROM minutes", [], |row| row.get(0)).unwrap() };
        let is_complete =
            || -> bool { conn.query_row("SELECT count(*) > 0 FROM hours", [], |row| row.get(0)).unwrap() };
        wait_for("some minutes", || (done() >= more || is_complete()).then_some(()));
        service.kill();
        done_before = done();
    }
    let service = start_in(&disturbed, &EAGER);
    wait_for_rollups(&disturbed);
    assert!(service.terminate().success());
    assert!(tables(&undisturbed) == tables(&disturbed));
}

#[test]
fn points_that_come_late_are_counted_once_and_those_that_were_there_stay() {
    let mut random = Random::new();
    let all = points(20, 20_000, &mut random);
    let (early, late) = all.split_at(15_000);
    let folder = home(20, early);
    let service = start_in(&folder, &EAGER);
    wait_for_rollups(&folder);
    for batch in late.chunks(500) {
        assert!(post(&service.client(KEY), batch));
    }
    wait_for_rollups(&folder);
    assert!(service.terminate().success());
    check_against_python(&folder);
}

#[test]
fn a_service_that_is_killed_while_points_come_late_has_all_of_them_in_its_rollups() {
    let mut random = Random::new();
    let all = points(20, 24_000, &mut random);
    let folder = home(20, &all[..2000]);
    let (mut acknowledged, mut rest) = (2000, &all[2000..]);
    while !rest.is_empty() {
        let service = start_in(&folder, &EAGER);
        let (turn, others) = rest.split_at(rest.len().min(2000));
        let (client, done, most) = (service.client(KEY), AtomicUsize::new(0), 1 + random.below(19));
        thread::scope(|scope| {
            scope.spawn(|| {
                for batch in turn.chunks(100) {
                    done.fetch_add(usize::from(post(&client, batch)), Ordering::SeqCst);
                }
            });
            wait_for("some batches", || (done.load(Ordering::SeqCst) >= most).then_some(()));
            service.kill();
        });
        acknowledged += done.into_inner() as i64 * 100;
        rest = others;
    }
    let service = start_in(&folder, &EAGER);
    wait_for_rollups(&folder);
    assert!(service.terminate().success());
    check_against_python(&folder);
    let conn = read_only(&database_in(&folder));
    let stored: i64 = conn.query_row("SELECT count(*) FROM points", [], |row| row.get(0)).unwrap();
    assert!(stored >= acknowledged && acknowledged > 2000, "{acknowledged} were acknowledged, {stored} stored");
}

#[test]
fn nothing_is_rolled_up_twice_while_nothing_changes() {
    let folder = home(5, &points(5, 1000, &mut Random::new()));
    let service = start_in(&folder, &EAGER);
    wait_for_rollups(&folder);
    wait_for_rounds(&service, 1);
    let log = with_suffix(&database_in(&folder), "-wal");
    let state = || (figure(&service, "monlight_rollup_minutes_total"), fs::metadata(&log).unwrap().modified().unwrap());
    let before = state();
    wait_for_rounds(&service, 3);
    assert!(state() == before, "something was rolled up or written");
}

#[test]
fn health_tells_what_came_in_and_what_is_rolled_up() {
    let folder = home(3, &[]);
    let service = start_in(&folder, &EAGER);
    let health = || service.client(KEY).get("/health").json();
    wait_for("a round", || health()["rollup_lag_seconds"].as_u64());
    assert_eq!(health()["status"], "ok");
    assert_eq!(
        (&health()["metrics_received_24h"], &health()["last_aggregation"]),
        (&0.into(), &serde_json::Value::Null)
    );
    assert!(service.terminate().success());

    let minute = first_hour() + 600;
    let id = (minute * 1000) << 21;
    add(&open(&database_in(&folder)), &[(id, 1, 1.0), (id + 1, 2, 1.0)]);
    let service = start_in(&folder, &EAGER);
    let health = || service.client(KEY).get("/health").json();
    wait_for("the rollup", || (health()["last_aggregation"] != serde_json::Value::Null).then_some(()));
    assert_eq!(health()["metrics_received_24h"], 2);
    let expected = Timestamp::from_millis(minute * 1000).to_string();
    assert_eq!(health()["last_aggregation"], expected);
}

#[test]
fn what_is_old_goes_when_it_is_rolled_up() {
    let folder = home(20, &points(20, 5000, &mut Random::new()));
    let service = start_in(&folder, &[("AGGREGATION_INTERVAL", "1"), ("RETENTION_RAW", "1")]);
    wait_for_rollups(&folder);
    assert!(service.terminate().success());
    // At start, retention may come before the rollup; after a restart it finds all of it done.
    let service = start_in(&folder, &[("AGGREGATION_INTERVAL", "1"), ("RETENTION_RAW", "1")]);
    let conn = read_only(&database_in(&folder));
    let count = |table: &str| -> i64 {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    wait_for("old points to go", || (count("points") < 2000).then_some(()));
    assert!(count("minutes") > 1900 && count("hours") == 40);
    assert!(service.terminate().success());
}
