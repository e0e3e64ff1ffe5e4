//! The browser-relay binary; everything is in the library.

fn main() {}
