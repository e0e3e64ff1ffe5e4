//! Measures what the clients cost applications, and how soon the interfaces are there: `make bench`. The scripts know how; each prints lines of a figure's name, its
//! goal, what was measured and whether that is met, separated by tabs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::testing::figures::Table;

fn main() {
    python();
    javascript();
    interfaces();
}

fn interfaces() {
    let mut command = Command::new("node");
    command.arg("bench/figures.mjs").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui"));
    let note = "Chromium without a window, on the same machine as the service; paints are the middle of seven, from the start of the \
                response until the first rows or charts are drawn.";
    table(&mut command).write("ui", note);
}

fn python() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python");
    let venv = std::env::var_os("MONLIGHT_VENV").map_or_else(|| folder.join("../../.venv"), PathBuf::from);
    let mut command = Command::new(venv.join("bin/python"));
    command.arg("bench/figures.py").env("PYTHONPATH", "src:tests").current_dir(folder);
    let note = "Python of the machine, one thread; costs are medians of 15 rounds in which nothing is sent.";
    table(&mut command).write("clients/python", note);
}

fn javascript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/js");
    let mut command = Command::new("node");
    command.arg("bench/figures.js").current_dir(folder);
    let note = "Chromium without a window; the fetch is answered in the page, its cost the middle of 15 differences over 300 calls each.";
    table(&mut command).write("clients/js", note);
}

/// What a script measured.
fn table(command: &mut Command) -> Table {
    let output = command.stderr(Stdio::inherit()).output().expect("the packages for the tests: make setup-test");
    assert!(output.status.success(), "{command:?} failed");
    let mut table = Table::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let [name, goal, measured, met] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("expected four columns, got {line}");
        };
        table.add(name, goal, measured.to_owned(), met == "yes");
    }
    table
}
