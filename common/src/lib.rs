//! What all four Monlight services need and none owns. Knows no service.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod db;
pub mod env;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
pub mod json;
pub mod log;
pub mod memory;
pub mod process;
pub mod prometheus;
pub mod query;
pub mod rate_limit;
pub mod service;
pub mod settings;
pub mod shutdown;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timers;
pub mod ui;
pub mod writer;
