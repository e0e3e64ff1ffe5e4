//! The fingerprint against a second implementation of it.

use std::process::Command;

use common::clock::Clock;

use super::sdk::python;
use super::{KEY, start};

/// Enough that each pair of pieces meets in every order, few enough to take a second.
const TRACEBACKS: u32 = 2000;

#[test]
fn it_agrees_with_a_second_one_on_random_tracebacks() {
    let tracker = start();
    let address = tracker.address();
    let seed = Clock::System.now().millis().to_string();
    let output = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/fingerprint.py"))
        .args([&address.ip().to_string(), &address.port().to_string(), KEY, &seed, &TRACEBACKS.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "seed {seed}\n{said}{}", String::from_utf8_lossy(&output.stderr));
}
