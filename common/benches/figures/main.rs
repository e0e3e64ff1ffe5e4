//! Measures what the clients cost applications, how soon the interfaces are there, and containers: `make bench`. The scripts
//! know how; each prints lines of a figure's name, its goal, what was measured and whether that is met, separated by tabs.
//! And what an event costs, and where one machine ends.

mod scaling;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::testing::figures::{self, Table, repository};

fn main() {
    figures::run(&[
        ("clients/python", python),
        ("clients/js", javascript),
        ("ui", interfaces),
        ("deploy", containers),
        ("scaling", scaling::measure),
    ]);
}

fn containers() {
    let mut command = Command::new(repository("deploy/tests/run.sh"));
    command.arg(binaries()).arg("--figures");
    let note = "On a Docker Engine of its own (20.10, `docker-compose` 1.29), the load on the same machine. Memory is what `docker stats` shows, \
                the most of three starts. The load is the Python client's and browsers' through the relay.";
    write(&mut command, "deploy", note);
}

fn binaries() -> PathBuf {
    std::env::var_os("MONLIGHT_BIN_DIR").expect("MONLIGHT_BIN_DIR: the folder of the binaries (make bench)").into()
}

fn interfaces() {
    let mut command = Command::new("node");
    command.arg("bench/figures.mjs").current_dir(repository("ui"));
    let note = "Chromium without a window, on the same machine as the service; paints are the middle of seven new tabs \
                with nothing in their cache, from the start of the response until the first rows or charts are drawn. Binaries grow by \
                their interfaces against the same built without them.";
    write(&mut command, "ui", note);
}

fn python() {
    let folder = repository("clients/python");
    let venv = std::env::var_os("MONLIGHT_VENV").map_or_else(|| folder.join("../../.venv"), PathBuf::from);
    let mut command = Command::new(venv.join("bin/python"));
    command.arg("bench/figures.py").env("PYTHONPATH", "src:tests").current_dir(folder);
    let note = "Python of the machine, one thread; costs are medians of 15 rounds in which nothing is sent.";
    write(&mut command, "clients/python", note);
}

fn javascript() {
    let folder = repository("clients/js");
    let mut command = Command::new("node");
    command.arg("bench/figures.js").current_dir(folder);
    let note = "Chromium without a window; the fetch is answered in the page, its cost the middle of 15 differences over 300 calls each.";
    write(&mut command, "clients/js", note);
}

/// Writes what a script measured.
fn write(command: &mut Command, section: &str, note: &str) {
    let output = command.stderr(Stdio::inherit()).output().expect("the packages for the tests: make setup-test");
    assert!(output.status.success(), "{command:?} failed");
    assert!(!output.stdout.is_empty(), "{command:?} could measure nothing, and said why");
    let mut table = Table::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let [name, goal, measured, met] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("expected four columns, got {line}");
        };
        table.add(name, goal, measured.to_owned(), met == "yes");
    }
    table.write(section, note);
}
