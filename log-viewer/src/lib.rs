//! Reads Docker's json-file logs from disk, keeps them searchable, and streams them live.

// What a container wrote.
mod ansi;
mod cursor;
mod docker_line;
mod entry;
mod level;
mod multiline;
mod trace;

// What is asked.
mod filter;
mod histogram;
mod pattern;
mod search;

// Where it is kept, how it comes in, and how it goes out.
mod live;
mod store;
mod tailer;

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
