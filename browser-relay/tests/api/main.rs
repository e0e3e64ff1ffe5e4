//! Black-box tests: the real binary, real HTTP, a real file, and back ends that are real or of our making.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where, and no more")]

mod abuse;
mod auth;
mod backend;
mod browser;
mod chromium;
mod cors;
mod docs;
mod faults;
mod keys;
mod migration;
mod outbox;
mod source_maps;

use std::ops::Deref;
use std::path::PathBuf;

use common::testing::{Client, Service, TempDir};
use serde_json::{Value, json};

use backend::Backend;

/// The admin key of every relay under test.
const ADMIN: &str = "an-admin-key-for-tests";
/// A DSN key that is there from the start.
const DSN: &str = "0123456789abcdef0123456789abcdef";

/// A running relay between two back ends of ours, with a folder of its own.
struct Relay {
    service: Service,
    folder: TempDir,
    errors: Backend,
    metrics: Backend,
}

impl Deref for Relay {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Relay {
    /// A client with the admin key.
    fn admin(&self) -> Client {
        self.service.client(ADMIN)
    }

    /// A client with the DSN key.
    fn page(&self) -> Client {
        Client::new(self.service.address()).with_header("x-monlight-key", DSN)
    }

    /// A client without any key.
    fn stranger(&self) -> Client {
        Client::new(self.service.address())
    }
}

/// The binary under test.
fn binary() -> PathBuf {
    common::testing::binary("browser-relay", env!("CARGO_BIN_EXE_browser-relay"))
}

/// Starts a relay that limits no rate.
#[track_caller]
fn start() -> Relay {
    start_with(&[])
}

/// Starts a relay with more variables. Later ones win.
#[track_caller]
fn start_with(variables: &[(&str, &str)]) -> Relay {
    start_in(TempDir::new(), Backend::start(), Backend::start(), variables)
}

/// Starts a relay on a folder that may hold a database, in front of these back ends.
#[track_caller]
fn start_in(folder: TempDir, errors: Backend, metrics: Backend, variables: &[(&str, &str)]) -> Relay {
    let database = folder.path().join("relay.db");
    let (errors_url, metrics_url, dsn_keys) = (errors.url(), metrics.url(), format!("web:{DSN}"));
    let mut all = vec![
        ("ADMIN_API_KEY", ADMIN),
        ("ERROR_TRACKER_URL", errors_url.as_str()),
        ("ERROR_TRACKER_API_KEY", "key-of-errors"),
        ("METRICS_COLLECTOR_URL", metrics_url.as_str()),
        ("METRICS_COLLECTOR_API_KEY", "key-of-metrics"),
        ("DSN_KEYS", dsn_keys.as_str()),
        ("RATE_LIMIT", "0"),
        ("DATABASE_PATH", database.to_str().unwrap()),
    ];
    all.extend_from_slice(variables);
    let service = Service::start(&binary(), &all);
    Relay { service, folder, errors, metrics }
}

/// An error of a page; another `name` is another error.
fn error(name: &str) -> Value {
    json!({"type": "TypeError", "message": format!("no {name}"), "stack": format!("TypeError: no {name}\n    at f (app.js:1:2)")})
}
