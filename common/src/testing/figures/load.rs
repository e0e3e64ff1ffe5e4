//! Load from `wrk`, and how a service behaves under more and more of it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::chart::{Chart, Line, Panel};
use super::{page, with_commas};
use crate::testing::Service;

/// Up to what a service takes (`MAX_CONNECTIONS`), and room for one who asks how it is.
pub const CONNECTIONS: [u32; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 240];
/// Of each of them.
pub const SECONDS: u32 = 4;

/// With what a script says what it measured.
const RESULT_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/result.lua");

/// What `wrk` measured.
#[derive(Clone, Copy)]
pub struct Load {
    /// Answers per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
}

/// Loads a service with `wrk` from this machine. The script begins with what the variable `RESULT_SCRIPT` names, which prints
/// `RESULT` and four numbers at the end: answers per second, p50 and p99 in milliseconds, and how many answers were wrong, of
/// which there must be none.
pub fn wrk(address: SocketAddr, script: &Path, variables: &[(&str, &str)], connections: u32, seconds: u32) -> Load {
    let output = Command::new("wrk")
        .args(["--threads", &connections.min(2).to_string(), "--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(script)
        .arg(format!("http://{address}"))
        .env("RESULT_SCRIPT", RESULT_SCRIPT)
        .envs(variables.iter().copied())
        .output()
        .expect("wrk is installed by make bench");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("wrk said {text}"));
    let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    assert!(numbers[3].abs() < 0.5, "{variables:?}: {} answers were wrong", numbers[3]);
    Load { rate: numbers[0], p50: numbers[1], p99: numbers[2] }
}

/// A service under a load, and what that took.
pub struct Step {
    connections: u32,
    load: Load,
    cpu_micros: f64,
    peak_bytes: u64,
}

impl Step {
    /// Loads a service that has only just started.
    pub fn measure(service: &Service, connections: u32, load: impl FnOnce(u32) -> Load) -> Self {
        let before = service.cpu_seconds();
        let load = load(connections);
        let cpu = service.cpu_seconds() - before;
        let cpu_micros = cpu * 1e6 / (load.rate * f64::from(SECONDS));
        eprintln!("{connections} connections: {:.0}/s, p99 {:.1} ms", load.rate, load.p99);
        Self { connections, load, cpu_micros, peak_bytes: service.peak_memory() }
    }
}

/// Writes a section with the steps as a table and as curves. `each` is how many of `what` a request has.
pub fn write(section: &str, note: &str, what: &str, each: f64, steps: &[Step]) {
    let mut text = format!(
        "{note}\n\n| connections | {what}/s | p50, ms | p99, ms | peak RSS, MB | CPU, µs each |\n|---|---|---|---|---|---|\n"
    );
    for Step { connections, load, cpu_micros, peak_bytes } in steps {
        let _ = writeln!(
            text,
            "| {connections} | {} | {:.2} | {:.2} | {:.1} | {:.1} |",
            with_commas(load.rate * each),
            load.p50,
            load.p99,
            *peak_bytes as f64 / 1e6,
            cpu_micros / each
        );
    }
    let curve = |value: fn(&Step) -> f64, scale: f64| {
        steps.iter().map(|step| (f64::from(step.connections), value(step) * scale)).collect::<Vec<_>>()
    };
    let panel = |title: &str, lines| Panel { title: title.into(), x: "connections".into(), lines };
    let delays = vec![
        Line { name: "p99".into(), points: curve(|step| step.load.p99, 1.0) },
        Line { name: "p50".into(), points: curve(|step| step.load.p50, 1.0) },
    ];
    let alone = |points| vec![Line { name: String::new(), points }];
    let chart = Chart {
        title: format!("{section}: {what} against connections"),
        panels: vec![
            panel(&format!("{what} per second"), alone(curve(|step| step.load.rate, each))),
            panel("latency, ms", delays),
            panel("peak RSS, MB", alone(curve(|step| step.peak_bytes as f64 / 1e6, 1.0))),
        ],
    };
    let _ = write!(text, "\n{}", chart.write(section));
    page::write(section, &text);
}
