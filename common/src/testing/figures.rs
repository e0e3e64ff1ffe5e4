//! For benches: their sections, a table of figures, and what they have in common.

pub mod chart;
pub mod load;
pub mod page;

use std::fmt::Write as _;
use std::path::Path;

/// Runs the sections of a bench that its arguments name: all when they name none. `--list` prints their names, and
/// `--failed NAME WHY` notes in the page that one could not be measured. Sections of other benches are none of ours.
pub fn run(sections: &[(&str, fn())]) {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let is_ours = |name: &str| sections.iter().any(|(own, _)| *own == name);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => sections.iter().for_each(|(name, _)| say(name)),
        ["--failed", name, why] if is_ours(name) => page::note_failure(name, why),
        ["--failed", ..] => {}
        ref chosen => {
            let is_chosen = |name: &str| chosen.is_empty() || chosen.contains(&name);
            sections.iter().filter(|(name, _)| is_chosen(name)).for_each(|(_, measure)| measure());
        }
    }
}

#[expect(clippy::print_stdout, reason = "the one who asks reads it there")]
fn say(name: &str) {
    println!("{name}");
}

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

    /// Replaces the section of that name in `docs/performance.md`; the others stay.
    pub fn write(&self, section: &str, note: &str) {
        page::write(section, &format!("{note}\n\n{}", self.render()));
    }

    /// As Markdown.
    pub fn render(&self) -> String {
        let mut table = format!("{}\n|---|---|---|---|\n", page::FIGURES);
        for (what, goal, measured, is_met) in &self.rows {
            let met = if *is_met { "yes" } else { "no" };
            let _ = writeln!(table, "| {what} | {goal} | {measured} | {met} |");
        }
        table
    }
}

/// Nearest rank.
pub fn percentile(values: &mut [f64], rank: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * rank).div_ceil(100) - 1]
}

/// Whether `VOLUME=full` asks for what takes longer and needs a large disk.
pub fn is_full() -> bool {
    std::env::var_os("VOLUME").is_some_and(|volume| volume == "full")
}

/// Whether temporary files may take so many bytes and leave some room to the machine; says so when not.
pub fn has_room(bytes: f64, what: &str) -> bool {
    const LEFT: f64 = 2e9;
    let disk = rustix::fs::statvfs(std::env::temp_dir()).expect("a file system");
    let free = disk.f_bavail as f64 * disk.f_frsize as f64;
    let has_room = free > bytes + LEFT;
    if !has_room {
        eprintln!("{what}: left out, it needs {:.0} GB and {:.0} GB are free", (bytes + LEFT) / 1e9, free / 1e9);
    }
    has_room
}

/// A file of the repository.
pub fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// 1234567 as 1,234,567.
pub fn with_commas(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 50) - 5.0).abs() < 1e-9);
        assert!((percentile(&mut values, 99) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.4].map(with_commas), ["0", "999", "1,000", "1,234,567"]);
    }
}
