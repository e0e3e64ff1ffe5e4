//! Black-box tests: the real binary, real HTTP, a real file, logs as Docker's driver writes them. One module per noun of
//! the API, and more for what goes wrong and for what must be exactly once.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where, and no more")]

mod chaos;
mod cli;
mod containers;
mod docs;
mod driver;
mod engine;
mod events;
mod faults;
mod health;
mod limits;
mod logs;
mod migration;
mod stats;
mod tail;

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use common::testing::{Client, KEY, Service, TempDir, database, wait_for};
use serde_json::Value;

use driver::Docker;

/// What outlives a service: its folder with the database, and Docker's.
struct Home {
    folder: TempDir,
    docker: Docker,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new();
        let docker = Docker::new(folder.path().join("containers"));
        Self { folder, docker }
    }

    /// The database file.
    fn database(&self) -> PathBuf {
        self.folder.path().join("logs.db")
    }
}

/// A running service with a home of its own.
struct Viewer {
    service: Service,
    home: Home,
}

impl Deref for Viewer {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Viewer {
    /// A client with the key.
    fn client(&self) -> Client {
        self.service.client(KEY)
    }

    /// Docker's folder.
    fn docker(&self) -> &Docker {
        &self.home.docker
    }

    /// Crashes it.
    fn kill(self) -> Home {
        self.service.kill();
        self.home
    }

    /// Stops it.
    #[track_caller]
    fn stop(self) -> Home {
        assert!(self.service.terminate().success());
        self.home
    }

    /// The entries that a query finds.
    #[track_caller]
    fn logs(&self, query: &[(&str, &str)]) -> Vec<Value> {
        entries(&self.ask("/api/logs", query))
    }

    /// The messages that a query finds, the newest first.
    #[track_caller]
    fn messages(&self, query: &[(&str, &str)]) -> Vec<String> {
        self.logs(query).iter().map(message).collect()
    }

    /// A `GET` that must work; its JSON.
    #[track_caller]
    fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let answer = self.client().get(&target(path, query));
        assert_eq!(answer.status, 200, "{path} {query:?}: {}", answer.text());
        answer.json()
    }

    /// A whole export.
    #[track_caller]
    fn export(&self, query: &[(&str, &str)]) -> String {
        let answer = self.client().get(&target("/api/logs/export", query));
        assert_eq!(answer.status, 200, "{query:?}: {}", answer.text());
        answer.text()
    }

    /// Waits until so many entries are stored.
    #[track_caller]
    fn wait_for_entries(&self, count: u64) {
        wait_for(&format!("{count} entries"), || {
            let stored = self.ask("/api/stats", &[])["total_logs"].as_u64().unwrap();
            assert!(stored <= count, "{stored} entries, expected {count}: {:?}", self.messages(&[]));
            (stored == count).then_some(())
        });
    }

    /// Waits until an entry with exactly this message is stored.
    #[track_caller]
    fn wait_for_message(&self, wanted: &str) -> Value {
        wait_for(&format!("{wanted:?}"), || self.logs(&[]).into_iter().find(|entry| message(entry) == wanted))
    }

    /// Waits until a line of the log holds all of these words.
    #[track_caller]
    fn wait_for_log(&self, words: &[&str]) -> String {
        let holds_all = |line: &String| words.iter().all(|word| line.contains(word));
        wait_for(&format!("{words:?} in the log"), || self.log().into_iter().find(holds_all))
    }
}

/// The entries of a list.
#[track_caller]
fn entries(list: &Value) -> Vec<Value> {
    list["logs"].as_array().unwrap_or_else(|| panic!("no logs: {list}")).clone()
}

/// An entry's message.
#[track_caller]
fn message(entry: &Value) -> String {
    entry["message"].as_str().unwrap_or_else(|| panic!("no message: {entry}")).to_owned()
}

/// A path with a query, all of it escaped.
fn target(path: &str, query: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (number, (name, value)) in query.iter().enumerate() {
        let _ = write!(target, "{}{name}=", if number == 0 { '?' } else { '&' });
        for byte in value.bytes() {
            let _ = if byte.is_ascii_alphanumeric() {
                write!(target, "{}", byte as char)
            } else {
                write!(target, "%{byte:02X}")
            };
        }
    }
    target
}

/// The binary under test.
fn binary() -> PathBuf {
    common::testing::binary("log-viewer", env!("CARGO_BIN_EXE_log-viewer"))
}

/// Starts a service that limits no rate.
#[track_caller]
fn start() -> Viewer {
    start_with(&[])
}

/// Starts a service with more variables.
#[track_caller]
fn start_with(variables: &[(&str, &str)]) -> Viewer {
    start_in(Home::new(), variables)
}

/// Starts a service in a home that may have a database and containers already. Later variables win.
#[track_caller]
fn start_in(home: Home, variables: &[(&str, &str)]) -> Viewer {
    let service = start_service(&home.database(), &home.docker.folder, variables);
    Viewer { service, home }
}

/// Starts a service on any database and folder of containers.
#[track_caller]
fn start_service(database: &Path, sources: &Path, variables: &[(&str, &str)]) -> Service {
    let mut all = vec![
        ("API_KEY", KEY),
        ("RATE_LIMIT", "0"),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("LOG_SOURCES", sources.to_str().unwrap()),
        ("POLL_INTERVAL", "1"),
    ];
    all.extend_from_slice(variables);
    Service::start(&binary(), &all)
}

/// The file is sound, and so are its search indexes. The service must have stopped: the check of an index counts as a write.
#[track_caller]
fn check_integrity(path: &Path) {
    database::check_integrity(path);
    let conn = database::read_write(path);
    let mut tables = conn.prepare("SELECT name FROM sqlite_schema WHERE sql GLOB 'CREATE VIRTUAL TABLE*'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    conn.execute_batch("CREATE TEMP TABLE indexed (id INTEGER PRIMARY KEY)").unwrap();
    for table in tables {
        conn.execute_batch(&format!(
            "INSERT INTO {table} ({table}) VALUES ('integrity-check');
             CREATE VIRTUAL TABLE temp.{table}_words USING fts5vocab (main, {table}, instance);
             INSERT OR IGNORE INTO indexed SELECT doc FROM {table}_words;"
        ))
        .unwrap();
    }
    // Whatever has a word in it is in the index.
    let sql =
        "SELECT id FROM log_entries WHERE message GLOB '*[a-zA-Z0-9]*' AND id NOT IN (SELECT id FROM indexed) LIMIT 9";
    let mut missing = conn.prepare(sql).unwrap();
    let missing: Vec<i64> = missing.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(missing.is_empty(), "entries that no search finds: {missing:?}");
}
