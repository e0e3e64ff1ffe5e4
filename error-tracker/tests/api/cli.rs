//! The command line, the configuration, and backups.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use common::testing::database::{check_integrity, read_only};
use common::testing::{Service, TempDir, stderr, wait_for};

use super::{KEY, binary, report, start};

/// Runs the binary with nothing but these variables.
fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    common::testing::run(&binary(), args, variables)
}

#[test]
fn help_and_version_need_no_configuration() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for name in
        ["API_KEY", "DATABASE_PATH", "RETENTION_DAYS", "SMTP_HOST", "TRUST_PROXY", "ALERT_RETRY_SECONDS", "--backup"]
    {
        assert!(text.contains(name), "{name}");
    }
    let version = run(&["--version"], &[]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), concat!("error-tracker ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn an_unknown_argument_is_refused() {
    for args in [&["--serve"][..], &["x"], &["--backup"], &["--help", "x"]] {
        let output = run(args, &[("API_KEY", KEY)]);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains("Usage: error-tracker"), "{}", stderr(&output));
    }
}

#[test]
fn every_problem_is_listed_at_once_and_no_secret() {
    let output = run(
        &[],
        &[
            ("API_KEY", ""),
            ("PORT", "70000"),
            ("WORKERS", "many"),
            ("RETENTION_DAYS", "soon"),
            ("LOG_LEVEL", "loud"),
            ("BIND_ADDRESS", "here"),
            ("TRUST_PROXY", "perhaps"),
            ("BASE_URL", "ftp://x"),
            ("ALERT_RETRY_SECONDS", "0,x"),
            ("SMTP_PASSWORD", "hunter2"),
            ("SMTP_PASSWORD_FILE", "/nowhere"),
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    for name in [
        "API_KEY",
        "PORT",
        "WORKERS",
        "RETENTION_DAYS",
        "LOG_LEVEL",
        "BIND_ADDRESS",
        "TRUST_PROXY",
        "BASE_URL",
        "ALERT_RETRY_SECONDS",
        "SMTP_PASSWORD",
    ] {
        assert!(text.lines().any(|line| line.contains(name)), "{name} is missing in:\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn mistakes_in_mail_settings_are_listed_before_a_file_is_made() {
    let folder = TempDir::new();
    let database = folder.path().join("e.db");
    let output = run(
        &[],
        &[
            ("API_KEY", KEY),
            ("DATABASE_PATH", database.to_str().unwrap()),
            ("SMTP_HOST", "localhost"),
            ("SMTP_FROM", "nobody"),
            ("ALERT_EMAILS", "ada@example.com, x@y@z"),
            ("SMTP_CA_FILE", "/nowhere"),
            ("WORKERS", "many"),
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    for name in ["SMTP_FROM", "ALERT_EMAILS", "SMTP_CA_FILE", "WORKERS"] {
        assert!(stderr(&output).contains(&format!("\n{name}: ")), "{name} is missing in:\n{}", stderr(&output));
    }
    assert!(!database.exists());
}

#[test]
fn the_path_of_the_database_may_be_long() {
    let folder = TempDir::new();
    let deep = folder.path().join("d".repeat(150)).join("e".repeat(150));
    std::fs::create_dir_all(&deep).unwrap();
    let database = deep.join("errors.db");
    let variables = [("API_KEY", KEY), ("DATABASE_PATH", database.to_str().unwrap())];
    for status in [201, 200] {
        let service = Service::start(&binary(), &variables);
        assert_eq!(service.client(KEY).post_json("/api/errors", &report("a")).status, status);
        assert!(service.terminate().success());
        assert!(!deep.join("errors.db.sock").exists());
    }
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = TempDir::new();
    let (secret, database) = (folder.path().join("key"), folder.path().join("e.db"));
    std::fs::write(&secret, "from-a-file\n").unwrap();
    let variables = [("API_KEY_FILE", secret.to_str().unwrap()), ("DATABASE_PATH", database.to_str().unwrap())];
    let service = Service::start(&binary(), &variables);
    assert_eq!(service.client("from-a-file").get("/api/projects").status, 200);
    assert!(!service.log().join("\n").contains("from-a-file"));
}

#[test]
fn a_missing_folder_is_refused() {
    let output = run(&[], &[("API_KEY", KEY), ("DATABASE_PATH", "/nowhere/e.db"), ("PORT", "0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere"), "{}", stderr(&output));
}

#[test]
fn healthcheck_tells_by_its_exit_code() {
    let tracker = start();
    let port = tracker.address().port().to_string();
    assert_eq!(run(&["--healthcheck"], &[("PORT", &port)]).status.code(), Some(0));
    tracker.service.terminate();
    assert_eq!(run(&["--healthcheck"], &[("PORT", &port)]).status.code(), Some(1));
}

/// The original was content with `200` anywhere in the answer.
#[test]
fn healthcheck_reads_the_status_and_nothing_else() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\n\r\n", 0),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n200 OK", 1),
        ("HTTP/1.1 404 200\r\n\r\n", 1),
        ("200", 1),
        ("", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let serving = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // The whole request, so that closing does not reset the connection.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            socket.write_all(answer.as_bytes()).unwrap();
        });
        assert_eq!(run(&["--healthcheck"], &[("PORT", &port)]).status.code(), Some(code), "{answer:?}");
        serving.join().unwrap();
    }
}

#[test]
fn a_backup_while_writing_holds_all_that_was_acknowledged() {
    let tracker = start();
    let target = tracker.folder.path().join("copy.db");
    let database = tracker.database();
    let variables = [("DATABASE_PATH", database.to_str().unwrap())];
    let (is_over, acknowledged) = (AtomicBool::new(false), AtomicI64::new(0));
    let (before, after) = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Not for ever: when the test fails, its threads are waited for.
            for number in 0..100_000 {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                assert_eq!(tracker.client().post_json("/api/errors", &report(&format!("late{number}"))).status, 201);
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        });
        wait_for("50 reports", || (acknowledged.load(Ordering::SeqCst) >= 50).then_some(()));
        // The writer may get no turn while so small a file is copied.
        let counts = wait_for("a backup while writing went on", || {
            let before = acknowledged.load(Ordering::SeqCst);
            let output = run(&["--backup", target.to_str().unwrap()], &variables);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let after = acknowledged.load(Ordering::SeqCst);
            (after > before).then_some((before, after))
        });
        is_over.store(true, Ordering::SeqCst);
        counts
    });
    let copy = read_only(&target);
    let one = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!((before..=after + 1).contains(&one("SELECT count(*) FROM errors")));
    check_integrity(&target);
    assert!(!tracker.folder.path().join("copy.db.unfinished").exists());

    let missing = run(&["--backup", target.to_str().unwrap()], &[("DATABASE_PATH", "/nowhere/e.db")]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn a_backup_may_have_any_name_and_a_key_only_what_a_header_holds() {
    use std::os::unix::ffi::OsStrExt as _;
    let tracker = start();
    let target = tracker.folder.path().join(std::ffi::OsStr::from_bytes(b"copy-\xff.db"));
    let output = Command::new(binary())
        .arg("--backup")
        .arg(&target)
        .env_clear()
        .env("DATABASE_PATH", tracker.database())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(target.exists());
    for key in ["clé", " key", "key ", "a\tb"] {
        let output = run(&[], &[("API_KEY", key), ("PORT", "0"), ("DATABASE_PATH", "/nowhere/e.db")]);
        assert_eq!(output.status.code(), Some(2), "{key:?}");
        assert!(stderr(&output).contains("API_KEY: expected visible ASCII characters"), "{}", stderr(&output));
    }
}

#[test]
fn files_are_closed_to_other_users() {
    let tracker = start();
    tracker.client().post_json("/api/errors", &report("x"));
    let target = tracker.folder.path().join("copy.db");
    let output =
        run(&["--backup", target.to_str().unwrap()], &[("DATABASE_PATH", tracker.database().to_str().unwrap())]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(tracker.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{}: {mode:o}", entry.path().display());
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(names.iter().any(|name| name.ends_with("-wal")) && names.len() >= 4, "{names:?}");
}
