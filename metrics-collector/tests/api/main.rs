//! Black-box tests: the real binary, real HTTP, a real file. One module per noun of the API, and more for what must be
//! exact.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where, and no more")]

mod dashboard;
mod docs;
mod faults;
mod ingest;
mod migration;
mod names;
mod questions;
mod rollup;
mod sdk;

use std::ops::Deref;
use std::path::PathBuf;

use common::testing::{Client, KEY, Service, TempDir};
use serde_json::Value;

/// The binary under test.
fn binary() -> PathBuf {
    common::testing::binary("metrics-collector", env!("CARGO_BIN_EXE_metrics-collector"))
}

/// Where [`start_in`] keeps its database.
fn database_in(folder: &TempDir) -> PathBuf {
    folder.path().join("metrics.db")
}

/// Starts a service on a folder that may hold a database already. Later variables win.
#[track_caller]
fn start_in(folder: &TempDir, variables: &[(&str, &str)]) -> Service {
    let database = database_in(folder);
    let mut all = vec![("API_KEY", KEY), ("DATABASE_PATH", database.to_str().unwrap()), ("RATE_LIMIT", "0")];
    all.extend(variables);
    Service::start(&binary(), &all)
}

/// A running service with a folder of its own.
struct Collector {
    service: Service,
    folder: TempDir,
}

impl Deref for Collector {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Collector {
    /// A client with the key.
    fn client(&self) -> Client {
        self.service.client(KEY)
    }

    /// What a path answers, which must be 200.
    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let answer = self.client().get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Ends it without a word; its folder stays.
    fn kill(self) -> TempDir {
        self.service.kill();
        self.folder
    }
}

/// Starts a service that limits no rate.
#[track_caller]
fn start() -> Collector {
    start_with(&[])
}

/// Starts a service with more variables.
#[track_caller]
fn start_with(variables: &[(&str, &str)]) -> Collector {
    start_here(TempDir::new(), variables)
}

/// Starts a service on a folder that may hold a database already.
#[track_caller]
fn start_here(folder: TempDir, variables: &[(&str, &str)]) -> Collector {
    let service = start_in(&folder, variables);
    Collector { service, folder }
}
