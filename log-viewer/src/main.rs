//! Placeholder while the service is built.
fn main() {}
