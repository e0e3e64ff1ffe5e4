//! Reads Docker's json-file logs from disk, keeps them searchable, and streams them live.

// What is stored and shown.
mod cursor;
mod entry;
