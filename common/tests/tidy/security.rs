//! What docs/security.md says is true, and what the binaries are made of is what deny.toml allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::{none, root, sources};

const PAGE: &str = "docs/security.md";
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn page() -> String {
    fs::read_to_string(root().join(PAGE)).expect("the page")
}

/// What stands below a heading of the page.
fn section(heading: &str) -> String {
    let page = page();
    let section = page.split(&format!("\n## {heading}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
    section.unwrap_or_else(|| panic!("{PAGE}: no section {heading}")).to_owned()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the section's table, without its head, as cells.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn unsafe_code_is_what_the_page_says() {
    let section = section("Unsafe code");
    let told: BTreeSet<String> = rows(&section).iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    let mut found = BTreeSet::new();
    for source in sources().iter().filter(|source| source.ends_with(".rs") && !source.path.contains("tests/tidy")) {
        let mut function = "";
        for line in source.text.lines() {
            if let Some((_, name)) = line.split_once("fn ") {
                function = name.split(['(', '<']).next().unwrap_or_default();
            }
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl") {
                assert_eq!(source.path, "common/src/process.rs", "unsafe code elsewhere, in {function}");
                found.insert(function.to_owned());
            }
        }
    }
    assert_eq!(found, told, "{PAGE} lists other functions");
}

#[test]
fn the_tests_that_the_page_names_exist() {
    let sources = sources();
    let section = section("Threats, and how each is tried");
    let rows = rows(&section);
    assert!(rows.len() > 20, "found only {} threats", rows.len());
    let is_test = |name: &str| {
        let forms = [format!("fn {name}("), format!("def {name}("), format!("test('{name}'")];
        let target = format!("fuzz/targets/{name}.rs");
        sources.iter().any(|source| source.path == target || forms.iter().any(|form| source.text.contains(form)))
    };
    let mut problems = Vec::new();
    for cells in &rows {
        let names: Vec<&str> = quoted(cells[2]).collect();
        if names.is_empty() {
            problems.push(format!("{PAGE}: nothing tries {:?}", cells[0]));
        }
        problems
            .extend(names.iter().filter(|name| !is_test(name)).map(|name| format!("{PAGE}: no test is named {name}")));
    }
    none(problems);
}

#[test]
fn every_fuzz_target_begins_somewhere() {
    let mut problems = Vec::new();
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest");
    for target in fs::read_dir(root().join("fuzz/targets")).expect("targets") {
        let name = target.expect("a target").path().file_stem().expect("a name").to_string_lossy().into_owned();
        let seeds = root().join("fuzz/seeds").join(&name);
        if fs::read_dir(seeds).map_or(0, Iterator::count) == 0 {
            problems.push(format!("fuzz/seeds/{name}: no seeds"));
        }
        if !manifest.contains(&format!("name = \"{name}\"")) {
            problems.push(format!("fuzz/Cargo.toml: nothing about {name}"));
        }
    }
    none(problems);
}

/// As cargo-deny does, but for the texts of the licences: in every test run, without anything to install.
#[test]
fn dependencies_have_allowed_licences_and_sources_and_one_version() {
    let rules = fs::read_to_string(root().join("deny.toml")).expect("the rules");
    let allowed = rules.split("\nallow = [").nth(1).and_then(|rest| rest.split("\n]").next()).expect("licences");
    let allowed: Vec<&str> = allowed.split('"').skip(1).step_by(2).collect();
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--target", TARGET, "--prefix", "none", "--no-dedupe"])
        .args(["--edges", "normal,build", "--format", "{p};{l}"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("text");
    let packages: BTreeSet<(&str, &str)> =
        tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once(';')).collect();
    assert!(packages.len() > 50, "found only {} packages", packages.len());

    let of = |licence: &str| is_allowed(licence, &allowed);
    let mut problems: Vec<String> = packages
        .iter()
        .filter(|(_, licence)| !of(licence))
        .map(|(package, licence)| format!("{package}: the licence {licence:?} is not in deny.toml"))
        .collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, rest) in packages.iter().filter_map(|(package, _)| package.split_once(" v")) {
        versions.entry(name).or_default().insert(rest.split(' ').next().unwrap_or_default());
    }
    let several = versions.iter().filter(|(_, versions)| versions.len() > 1);
    problems.extend(several.map(|(name, versions)| format!("{name}: several versions: {versions:?}")));
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    let elsewhere = lock.lines().filter(|line| line.starts_with("source = ") && !line.contains(REGISTRY));
    problems.extend(elsewhere.map(|line| format!("Cargo.lock: {line}")));
    none(problems);
}

/// Whether an SPDX expression is satisfied by these licences: `OR` (or the old `/`), `AND`, brackets.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some(sides) = split(&expression, " OR ") {
        return sides.iter().any(|side| is_allowed(side, allowed));
    }
    if let Some(sides) = split(&expression, " AND ") {
        return sides.iter().all(|side| is_allowed(side, allowed));
    }
    let inner = expression.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(|| allowed.contains(&expression.trim()), |inner| is_allowed(inner, allowed))
}

/// Splits at a word outside of brackets; none where it is not there.
fn split<'e>(expression: &'e str, word: &str) -> Option<Vec<&'e str>> {
    let depth = |end: usize| expression[..end].matches('(').count() - expression[..end].matches(')').count();
    let cuts: Vec<usize> = expression.match_indices(word).map(|(at, _)| at).filter(|at| depth(*at) == 0).collect();
    let mut rest = 0;
    let mut sides = Vec::new();
    for cut in &cuts {
        sides.push(&expression[rest..*cut]);
        rest = cut + word.len();
    }
    sides.push(&expression[rest..]);
    (!cuts.is_empty()).then_some(sides)
}

#[test]
fn licences_are_read_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0 AND ISC", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(GPL-3.0 OR Apache-2.0) AND Unicode-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", true),
        ("GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
