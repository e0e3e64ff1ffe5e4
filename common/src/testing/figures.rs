//! For benches: a table of figures, and the page that holds the tables of all services.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

const HEAD: &str = "\
---
title: Performance
description: What make bench measured, against its goals.
order: 18
---

# Performance

Written by `make bench`; do not edit.
";

/// Figures, what each should reach, and whether it does.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, String, String, bool)>,
}

impl Table {
    /// Adds a figure and prints it.
    pub fn add(&mut self, what: &str, goal: &str, measured: String, is_met: bool) {
        eprintln!("{what}: {measured} (goal {goal})");
        self.rows.push((what.into(), goal.into(), measured, is_met));
    }

    /// Prints the table and replaces this service's section in `docs/performance.md`; the others stay.
    pub fn write(&self, service: &str, note: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
        let section = self.render(service, note);
        eprintln!("{section}");
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, replace(&page, service, &section)).expect("docs/performance.md can be written");
    }

    fn render(&self, service: &str, note: &str) -> String {
        let mut section = format!(
            "## {service}\n\n{}\n\n{note}\n\n| figure | goal | measured | met |\n|---|---|---|---|\n",
            machine()
        );
        for (what, goal, measured, is_met) in &self.rows {
            let met = if *is_met { "yes" } else { "no" };
            let _ = writeln!(section, "| {what} | {goal} | {measured} | {met} |");
        }
        section
    }
}

/// The page with one section changed; sections are in the order of their names.
fn replace(page: &str, service: &str, section: &str) -> String {
    let others = page.split("\n## ").skip(1).map(|rest| format!("## {}\n", rest.trim_end()));
    let mut sections: Vec<String> =
        others.filter(|other| other.lines().next() != Some(&format!("## {service}"))).collect();
    sections.push(section.to_owned());
    sections.sort();
    format!("{HEAD}\n{}", sections.join("\n"))
}

/// What `wrk` measured.
pub struct Load {
    /// Answers per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
}

/// Loads a service with `wrk` from this machine. The script prints `RESULT` and four numbers at its end: answers per second,
/// p50 and p99 in milliseconds, and how many answers were wrong, of which there must be none.
pub fn wrk(address: SocketAddr, script: &Path, variables: &[(&str, &str)], connections: u32, seconds: u32) -> Load {
    let output = Command::new("wrk")
        .args(["--threads", &connections.min(2).to_string(), "--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(script)
        .arg(format!("http://{address}"))
        .envs(variables.iter().copied())
        .output()
        .expect("wrk is installed by make bench");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).unwrap_or_else(|| panic!("wrk said {text}"));
    let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    assert!(numbers[3].abs() < 0.5, "{variables:?}: {} answers were wrong", numbers[3]);
    Load { rate: numbers[0], p50: numbers[1], p99: numbers[2] }
}

/// Nearest rank.
pub fn percentile(values: &mut [f64], rank: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * rank).div_ceil(100) - 1]
}

/// Commit, cores and processor.
fn machine() -> String {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = said("git", &["log", "-1", "--format=commit %h of %cs"]).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("Measured at {commit} on {cores} cores ({}).", model.trim_start_matches(['\t', ':', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_section() {
        let first = replace("", "b", "## b\n\nold\n");
        assert_eq!(first, format!("{HEAD}\n## b\n\nold\n"));
        let both = replace(&first, "a", "## a\n\nx\n");
        assert_eq!(both, format!("{HEAD}\n## a\n\nx\n\n## b\n\nold\n"));
        assert_eq!(replace(&both, "b", "## b\n\nnew\n"), format!("{HEAD}\n## a\n\nx\n\n## b\n\nnew\n"));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 50) - 5.0).abs() < 1e-9);
        assert!((percentile(&mut values, 99) - 10.0).abs() < 1e-9);
    }
}
