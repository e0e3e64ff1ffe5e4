//! The browser-relay binary; everything is in the library.

/// Nothing yet.
fn main() {}
