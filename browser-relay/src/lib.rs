//! The public door for browsers: takes their errors and metrics by DSN key, makes stack traces readable with source maps,
//! and forwards to error-tracker and metrics-collector.

// Who may send.
mod cors;
mod door;
mod dsn;

// What is made of it.
mod resolve;
mod scrub;
mod sourcemap;
mod stack;
mod translate;

// Where it goes.
mod outbox;
mod store;
mod upstream;

// What is done from the command line.
pub mod upload;

// The service.
mod config;
mod context;
mod handlers;
mod routes;
mod service;
mod timers;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use service::PROGRAM;
