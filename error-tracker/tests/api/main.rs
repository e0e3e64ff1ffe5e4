//! Black-box tests: the real binary, real HTTP, a real file. One module per noun of the API, and two for what goes wrong.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where, and no more")]

mod alerts;
mod attacks;
mod auth;
mod cli;
mod docs;
mod errors;
mod faults;
mod fingerprint;
mod health;
mod metrics;
mod migration;
mod overload;
mod pages;
mod projects;
mod protocol;
mod sdk;
#[path = "../smtp/sink.rs"]
mod sink;

use std::ops::Deref;
use std::path::PathBuf;

use common::testing::{Client, KEY, Service, TempDir};
use serde_json::{Value, json};

/// A running service with a folder of its own.
struct Tracker {
    service: Service,
    folder: TempDir,
}

impl Deref for Tracker {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Tracker {
    /// A client with the key.
    fn client(&self) -> Client {
        self.service.client(KEY)
    }

    /// The database file.
    fn database(&self) -> PathBuf {
        database_in(&self.folder)
    }
}

/// The binary under test.
fn binary() -> PathBuf {
    common::testing::binary("error-tracker", env!("CARGO_BIN_EXE_error-tracker"))
}

/// Where [`start_in`] keeps its database.
fn database_in(folder: &TempDir) -> PathBuf {
    folder.path().join("errors.db")
}

/// Starts a service that limits no rate.
#[track_caller]
fn start() -> Tracker {
    start_with(&[])
}

/// Starts a service with more variables.
#[track_caller]
fn start_with(variables: &[(&str, &str)]) -> Tracker {
    start_in(TempDir::new(), variables)
}

/// Starts a service on a folder that may hold a database already. Later variables win.
#[track_caller]
fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Tracker {
    let database = database_in(&folder);
    let mut all = vec![("API_KEY", KEY), ("RATE_LIMIT", "0"), ("DATABASE_PATH", database.to_str().unwrap())];
    all.extend_from_slice(variables);
    let service = Service::start(&binary(), &all);
    Tracker { service, folder }
}

/// A report; another `name` is another error.
fn report(name: &str) -> Value {
    json!({
        "project": "shop",
        "exception_type": "ValueError",
        "message": format!("cannot do {name}"),
        "traceback": format!("Traceback (most recent call last):\n  File \"/app/{name}.py\", line 7, in run\nValueError"),
    })
}
