//! The command line, the configuration, and backups.

use std::process::Output;

use common::testing::database::read_only;
use common::testing::{TempDir, stderr};

use crate::{KEY, binary, start};

/// Runs the binary with nothing but these variables.
fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    common::testing::run(&binary(), args, variables)
}

#[test]
fn help_and_version_need_no_configuration() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for name in [
        "API_KEY",
        "LOG_SOURCES",
        "CONTAINERS",
        "TAIL_BUFFER",
        "POLL_INTERVAL",
        "MAX_ENTRIES",
        "MAX_BYTES",
        "MAX_AGE_DAYS",
        "--backup",
    ] {
        assert!(text.contains(name), "{name}");
    }
    let version = run(&["--version"], &[]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), concat!("log-viewer ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn an_unknown_argument_is_refused() {
    for args in [&["--serve"][..], &["x"], &["--backup"]] {
        let output = run(args, &[("API_KEY", KEY)]);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains("Usage: log-viewer"), "{}", stderr(&output));
    }
}

/// The original crashed, spun or deleted everything with some of these.
#[test]
fn every_problem_is_listed_at_once() {
    let folder = TempDir::new();
    let database = folder.path().join("logs.db");
    let output = run(
        &[],
        &[
            ("DATABASE_PATH", database.to_str().unwrap()),
            ("LOG_SOURCES", "relative/path"),
            ("POLL_INTERVAL", "0"),
            ("TAIL_BUFFER", "-1"),
            ("MAX_ENTRIES", "0"),
            ("MIN_ENTRIES_PER_CONTAINER", "some"),
            ("MAX_BYTES", "5"),
            ("MAX_AGE_DAYS", "old"),
            ("PORT", "70000"),
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for name in [
        "API_KEY",
        "LOG_SOURCES",
        "POLL_INTERVAL",
        "TAIL_BUFFER",
        "MAX_ENTRIES",
        "MIN_ENTRIES_PER_CONTAINER",
        "MAX_BYTES",
        "MAX_AGE_DAYS",
        "PORT",
    ] {
        let names = |line: &str| line.starts_with(&format!("{name}: ")) || line.contains(&format!("'{name}'"));
        assert!(text.lines().any(names), "{name} is missing in:\n{text}");
    }
    assert!(!database.exists());
}

#[test]
fn healthcheck_tells_by_its_exit_code() {
    let viewer = start();
    let port = viewer.address().port().to_string();
    assert_eq!(run(&["--healthcheck"], &[("PORT", &port)]).status.code(), Some(0));
    viewer.stop();
    assert_eq!(run(&["--healthcheck"], &[("PORT", &port)]).status.code(), Some(1));
}

#[test]
fn a_backup_while_lines_arrive_is_sound() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stdout("[INFO] before the backup");
    viewer.wait_for_entries(1);
    let target = viewer.home.folder.path().join("copy.db");
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2000 {
                web.stdout(format!("[INFO] meanwhile {number}"));
            }
        });
        run(&["--backup", target.to_str().unwrap()], &[("DATABASE_PATH", viewer.home.database().to_str().unwrap())])
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    crate::check_integrity(&target);
    let copy = read_only(&target);
    let one = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(one("SELECT count(*) FROM log_entries") >= 1);
    assert_eq!(one("SELECT count(*) FROM log_entries WHERE message = '[INFO] before the backup'"), 1);
    viewer.wait_for_entries(2001);
}

#[test]
fn a_stop_is_quick_and_loses_nothing() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    for number in 0..500 {
        web.stdout(format!("[INFO] {number}"));
    }
    common::testing::wait_for("some entries", || {
        (viewer.ask("/api/stats", &[])["total_logs"].as_u64().unwrap() > 0).then_some(())
    });
    let asked = std::time::Instant::now();
    let home = viewer.stop();
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    crate::start_in(home, &[]).wait_for_entries(500);
}
