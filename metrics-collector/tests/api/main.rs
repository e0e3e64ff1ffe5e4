//! Black-box tests: the real binary, real HTTP, a real file. One module per noun of the API, and more for what must be
//! exact.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where, and no more")]

mod rollup;

use std::path::PathBuf;

use common::testing::{Service, TempDir};

/// The API key of every service under test.
const KEY: &str = "a-key-for-tests";

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
