//! Measures what the clients cost applications, how soon the interfaces are there, and containers: `make bench`. The scripts
//! know how; each prints lines of a figure's name, its goal, what was measured and whether that is met, separated by tabs.
//! `cargo bench -p common --bench figures -- ui` measures one of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::testing::figures::Table;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let sections: [(&str, fn()); 4] =
        [("python", python), ("javascript", javascript), ("ui", interfaces), ("deploy", containers)];
    for (name, measure) in sections {
        if chosen.is_empty() || chosen.iter().any(|other| other == name) {
            measure();
        }
    }
}

fn containers() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tests/run.sh");
    let binaries =
        std::env::var_os("MONLIGHT_BIN_DIR").expect("MONLIGHT_BIN_DIR: the folder of the binaries (make bench)");
    let mut command = Command::new(script);
    command.arg(binaries).arg("--figures");
    let note = "On a Docker Engine of its own (20.10, `docker-compose` 1.29), the load on the same machine. Memory is what `docker stats` shows, \
                the most of three starts. The load is the Python client's and browsers' through the relay.";
    write(&mut command, "deploy", note);
}

fn interfaces() {
    let mut command = Command::new("node");
    command.arg("bench/figures.mjs").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui"));
    let note = "Chromium without a window, on the same machine as the service; paints are the middle of seven new tabs \
                with nothing in their cache, from the start of the response until the first rows or charts are drawn. Binaries grow by \
                their interfaces against the same built without them.";
    write(&mut command, "ui", note);
}

fn python() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python");
    let venv = std::env::var_os("MONLIGHT_VENV").map_or_else(|| folder.join("../../.venv"), PathBuf::from);
    let mut command = Command::new(venv.join("bin/python"));
    command.arg("bench/figures.py").env("PYTHONPATH", "src:tests").current_dir(folder);
    let note = "Python of the machine, one thread; costs are medians of 15 rounds in which nothing is sent.";
    write(&mut command, "clients/python", note);
}

fn javascript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/js");
    let mut command = Command::new("node");
    command.arg("bench/figures.js").current_dir(folder);
    let note = "Chromium without a window; the fetch is answered in the page, its cost the middle of 15 differences over 300 calls each.";
    write(&mut command, "clients/js", note);
}

/// Keeps what a script measured; the section stays as it is where it could measure nothing, and has said why.
fn write(command: &mut Command, section: &str, note: &str) {
    let output = command.stderr(Stdio::inherit()).output().expect("the packages for the tests: make setup-test");
    assert!(output.status.success(), "{command:?} failed");
    let mut table = Table::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let [name, goal, measured, met] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("expected four columns, got {line}");
        };
        table.add(name, goal, measured.to_owned(), met == "yes");
    }
    if !output.stdout.is_empty() {
        table.write(section, note);
    }
}
