//! `docs/performance.md`: a section for each part of `make bench`, which stays until it is measured again, and above them a
//! summary that is computed from all of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::clock::Clock;

const HEAD: &str = "\
---
title: Performance
description: What make bench measured, against its goals.
order: 17
---

# Performance

Written by `make bench`; do not edit.
";

/// The first line of a table of figures, by which the summary finds it.
pub(super) const FIGURES: &str = "| figure | goal | measured | met |";
const SUMMARY: &str = "Summary";
/// How the line begins that says that a section is older than the last try.
const FAILED: &str = "**Not measured again ";

/// Replaces a section, below a line that says where and when it was measured.
pub fn write(section: &str, text: &str) {
    let section_text = format!("## {section}\n\n{}\n\n{}\n", Place::here().measured(), text.trim_end());
    eprintln!("{section_text}");
    update(|page| replace(page, section, &section_text));
}

/// Notes that a section could not be measured; what was measured before stays, with its date.
pub fn note_failure(section: &str, why: &str) {
    let place = Place::here();
    let mark = format!("{FAILED}on {} at {}: {why}.**", place.date, place.commit);
    update(|page| mark_section(page, section, &mark));
}

/// Writes a text in place of that between two lines of a page, and says in it where and when it was measured.
pub fn write_between(path: &Path, begin: &str, end: &str, text: &str) {
    let page = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (before, rest) = page.split_once(begin).unwrap_or_else(|| panic!("{}: no {begin}", path.display()));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{}: no {end}", path.display()));
    let text = format!("{}\n\n{}", Place::here().measured(), text.trim_end());
    put(path, &format!("{before}{begin}\n\n{text}\n\n{end}{after}"));
}

fn update(change: impl FnOnce(&str) -> String) {
    let path = super::repository("docs/performance.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    put(&path, &change(&page));
}

/// Whole or not at all.
fn put(path: &Path, page: &str) {
    let new = path.with_extension("new");
    fs::write(&new, page).expect("the folder can be written");
    fs::rename(&new, path).expect("the page can be replaced");
}

/// The page with one section changed; sections are in the order of their names.
fn replace(page: &str, name: &str, section: &str) -> String {
    let mut sections = sections(page);
    sections.retain(|other| title(other) != name);
    sections.push(section.to_owned());
    render(sections)
}

/// The page with a line in a section, which is made if it is not there.
fn mark_section(page: &str, name: &str, mark: &str) -> String {
    let found = sections(page).into_iter().find(|section| title(section) == name);
    let body = found.as_deref().and_then(|section| section.split_once("\n\n")).map_or("", |(_, body)| body);
    let body = match body.split_once("\n\n") {
        Some((old, rest)) if old.starts_with(FAILED) => rest,
        _ if body.starts_with(FAILED) => "",
        _ => body,
    };
    replace(page, name, &format!("{}\n", format!("## {name}\n\n{mark}\n\n{body}").trim_end()))
}

fn sections(page: &str) -> Vec<String> {
    let all = page.split("\n## ").skip(1).map(|rest| format!("## {}\n", rest.trim_end()));
    all.filter(|section| title(section) != SUMMARY).collect()
}

fn title(section: &str) -> &str {
    section.lines().next().and_then(|line| line.strip_prefix("## ")).unwrap_or_default()
}

fn render(mut sections: Vec<String>) -> String {
    sections.sort();
    format!("{HEAD}\n{}\n{}", summary(&sections), sections.join("\n"))
}

/// Every figure that has a goal, and when each section was measured.
fn summary(sections: &[String]) -> String {
    let (mut figures, mut times) = (String::new(), String::new());
    let (mut goals_all, mut met_all, mut missed) = (0, 0, Vec::new());
    for section in sections {
        let name = title(section);
        let (mut goals, mut met) = (0, 0);
        for [what, goal, measured, is_met] in rows(section).filter(|row| row[1] != "-") {
            goals += 1;
            if is_met == "yes" {
                met += 1;
            } else {
                missed.push(format!("- {name}, {what}: {measured}, goal {goal}\n"));
            }
            let _ = writeln!(figures, "| {name} | {what} | {goal} | {measured} | {is_met} |");
        }
        let said = |start: &str| section.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        let when = format!("{} {}", said("Measured "), said(FAILED));
        let count = if goals == 0 { "-".to_owned() } else { format!("{met} of {goals}") };
        let _ = writeln!(times, "| [{name}](#{}) | {} | {count} |", anchor(name), when.trim());
        (goals_all, met_all) = (goals_all + goals, met_all + met);
    }
    let missed = if missed.is_empty() { String::new() } else { format!(" These are not met:\n\n{}", missed.concat()) };
    format!(
        "## {SUMMARY}\n\n{met_all} of {goals_all} goals are met.{}\n\n| section | when and where | goals met |\n|---|---|---|\n{times}\n\
         Every figure that has a goal:\n\n| section | figure | goal | measured | met |\n|---|---|---|---|---|\n{figures}",
        missed.trim_end()
    )
}

/// The rows of the tables of figures.
fn rows(section: &str) -> impl Iterator<Item = [&str; 4]> {
    let tables = section.split(FIGURES).skip(1).flat_map(|rest| {
        let lines = rest.lines().skip(2);
        lines.take_while(|line| line.starts_with('|'))
    });
    tables.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        cells.try_into().ok()
    })
}

/// As site generators make it of a heading.
fn anchor(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

/// What was measured, when, and on what.
struct Place {
    date: String,
    commit: String,
    machine: String,
}

impl Place {
    fn here() -> Self {
        let git = |args: &[&str]| {
            let output = Command::new("git").args(args).current_dir(super::repository("")).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let head = git(&["log", "-1", "--format=commit %h"]).unwrap_or_else(|| "an unknown commit".into());
        // The pages that are written meanwhile change nothing that is measured.
        let changes = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]).unwrap_or_default();
        let commit = if changes.is_empty() { head } else { format!("{head} with changes") };
        let cores = thread::available_parallelism().map_or(0, usize::from);
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let machine = format!("{cores} cores ({})", model.trim_start_matches(['\t', ':', ' ']));
        let date = Clock::System.now().with_millis()[..10].to_owned();
        Self { date, commit, machine }
    }

    fn measured(&self) -> String {
        format!("Measured on {} at {} on {}.", self.date, self.commit, self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, rows: &str) -> String {
        format!("## {name}\n\nMeasured then.\n\nnote\n\n{FIGURES}\n|---|---|---|---|\n{rows}")
    }

    #[test]
    fn each_section_is_replaced_alone_and_they_are_in_order() {
        let (a, b) = (section("a", "| x | - | 1 | yes |\n"), section("b", "| y | - | 1 | yes |\n"));
        let both = replace(&replace("", "b", &b), "a", &a);
        assert_eq!(sections(&both), [a.clone(), b]);
        let new = section("b", "| y | - | 2 | yes |\n");
        assert_eq!(sections(&replace(&both, "b", &new)), [a, new]);
    }

    #[test]
    fn the_summary_is_computed_from_all_sections() {
        let page = replace("", "a", &section("a", "| x | under 2 | 1 | yes |\n| z | - | 9 | yes |\n"));
        assert!(page.contains("\n1 of 1 goals are met.\n\n| section |"), "{page}");
        assert!(!page.contains("not met"), "{page}");
        let page = replace(&page, "c/d", &section("c/d", "| y | under 2 | 3 | no |\n"));
        assert_eq!(page.matches("\n## Summary\n").count(), 1);
        assert!(
            page.contains("\n1 of 2 goals are met. These are not met:\n\n- c/d, y: 3, goal under 2\n\n| section |"),
            "{page}"
        );
        assert!(page.contains("\n| [c/d](#cd) | Measured then. | 0 of 1 |\n"), "{page}");
        assert!(page.contains("\n| a | x | under 2 | 1 | yes |\n| c/d | y | under 2 | 3 | no |\n"), "{page}");
    }

    #[test]
    fn a_section_that_failed_keeps_its_figures_and_says_so_until_it_is_measured_again() {
        let whole = section("a", "| x | under 2 | 1 | yes |\n");
        let page = replace("", "a", &whole);
        let mark = |day: &str| format!("{FAILED}on {day} at commit c: it ended with 1.**");
        let failed = mark_section(&mark_section(&page, "a", &mark("Monday")), "a", &mark("Tuesday"));
        assert!(!failed.contains("Monday"), "{failed}");
        assert!(failed.contains(&format!("| [a](#a) | Measured then. {} | 1 of 1 |", mark("Tuesday"))), "{failed}");
        assert_eq!(sections(&replace(&failed, "a", &whole)), [whole]);
    }

    #[test]
    fn a_section_that_was_never_measured_is_in_the_summary_when_it_fails() {
        let mark = format!("{FAILED}on Monday at commit c: it ended with 1.**");
        let page = mark_section("", "a", &mark);
        assert!(page.ends_with(&format!("\n## a\n\n{mark}\n")), "{page}");
        assert!(page.contains(&format!("\n| [a](#a) | {mark} | - |\n")), "{page}");
        assert_eq!(mark_section(&page, "a", &mark), page);
    }
}
