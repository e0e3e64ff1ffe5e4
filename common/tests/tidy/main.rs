//! Checks on the code itself: what readers rely on and no compiler sees.

mod docs;
mod security;

use std::fs;
use std::path::Path;

/// A file has one reason to exist; a longer one has found a second. Unit tests at its end count on their own.
const LINES_MAX: usize = 600;
/// Not ours to write, or not in the repository.
const SKIPPED: [&str; 11] = [
    "target",
    ".git",
    ".node",
    ".venv",
    "node_modules",
    "dist",
    ".schemathesis",
    "run",
    "__pycache__",
    "Cargo.lock",
    "package-lock.json",
];
const SQL: [&str; 8] =
    ["SELECT ", "INSERT INTO", "INSERT OR", "UPDATE ", "DELETE FROM", "CREATE TABLE", "CREATE INDEX", "PRAGMA "];

struct Source {
    /// From the root of the repository.
    path: String,
    text: String,
}

impl Source {
    /// Its own code and its unit tests.
    fn parts(&self) -> (&str, &str) {
        let tests = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        self.text.split_at(tests)
    }

    /// The lines of its own code without comments, each with its place.
    fn code(&self) -> impl Iterator<Item = (String, &str)> {
        self.parts().0.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(
            |(number, line)| {
                let code = line.split_once(" // ").map_or(line, |(code, _)| code);
                (format!("{}:{}", self.path, number + 1), code)
            },
        )
    }

    fn ends_with(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

/// Every text file of the repository.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 50, "found only {} files below {}", sources.len(), root().display());
    sources
}

#[track_caller]
fn none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The places outside `allowed` where the services' code says `word`.
fn outside(sources: &[Source], word: &str, allowed: &[&str]) -> Vec<String> {
    let code = sources.iter().filter(|source| source.ends_with(".rs") && source.path.contains("/src/"));
    let strangers = code.filter(|source| !allowed.iter().any(|place| source.path.contains(place)));
    let lines = strangers.flat_map(Source::code).filter(|(_, line)| line.contains(word));
    lines.map(|(place, _)| format!("{place}: {word:?} belongs into {}", allowed.join(", "))).collect()
}

#[test]
fn each_boundary_has_its_file() {
    let sources = sources();
    none(outside(&sources, "tiny_http", &["common/src/http/server.rs"]));
    none(outside(&sources, "httparse", &["common/src/http/head.rs", "common/src/http/screen/answer.rs"]));
    none(outside(&sources, "lettre", &["error-tracker/src/mailer.rs"]));
    for word in SQL {
        none(outside(
            &sources,
            word,
            &["/src/store/", "common/src/db.rs", "common/src/writer.rs", "common/src/testing/database.rs"],
        ));
    }
}

#[test]
fn no_file_is_too_long() {
    let too_long = |source: Source| {
        let (code, tests) = source.parts();
        let lines = code.lines().count().max(tests.lines().count());
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines, expected at most {LINES_MAX}", source.path))
    };
    none(sources().into_iter().filter_map(too_long));
}

#[test]
fn nothing_is_left_for_later() {
    // In two halves, so that this file does not find itself.
    let words = [concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("#[ig", "nore"), concat!("FIX", "ME")];
    let find = |source: Source| {
        let words = words.iter().filter(|word| source.text.contains(**word));
        words.map(|word| format!("{}: {word}", source.path)).collect::<Vec<_>>()
    };
    none(sources().into_iter().flat_map(find));
}

#[test]
fn every_file_says_what_it_is_for() {
    let start = |source: &Source| {
        if source.ends_with(".rs") {
            "//! "
        } else if source.ends_with(".py") {
            "\"\"\""
        } else if source.ends_with(".sql") {
            "-- "
        } else if source.ends_with(".md") && source.text.starts_with("---\ntitle: ") {
            "---\ntitle: "
        } else if source.ends_with(".md") && !source.path.starts_with("docs/") {
            "# "
        } else {
            ""
        }
    };
    let silent = |source: &Source| !source.text.starts_with(start(source));
    none(sources().into_iter().filter(silent).map(|source| format!("{}: expected a first line", source.path)));
}
