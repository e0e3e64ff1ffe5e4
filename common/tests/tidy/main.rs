//! Checks on the code itself: what readers rely on and no compiler sees.

mod security;

use std::fs;
use std::path::{Path, PathBuf};

/// A file has one reason to exist; a longer one has found a second. Unit tests at its end count on their own.
const LINES_MAX: usize = 600;
/// Not ours to write, or not in the repository.
const SKIPPED: [&str; 10] = [
    "target",
    ".git",
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
        } else if source.ends_with(".md") {
            "# "
        } else {
            ""
        }
    };
    let silent = |source: &Source| !source.text.starts_with(start(source));
    none(sources().into_iter().filter(silent).map(|source| format!("{}: expected a first line", source.path)));
}

#[test]
fn links_in_markdown_lead_somewhere() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.ends_with(".md")) {
        let folder = root().join(&source.path).parent().expect("a folder").to_owned();
        for rest in source.text.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let is_ours = !target.is_empty() && !target.contains(':');
            if is_ours && !folder.join(target).exists() {
                problems.push(format!("{}: {target} is not there", source.path));
            }
        }
    }
    none(problems);
}

/// In comments as well.
#[test]
fn documents_that_are_named_exist() {
    let is_part = |c: &char| c.is_alphanumeric() || "/-_.".contains(*c);
    let mut problems = Vec::new();
    for source in &sources() {
        for (at, _) in source.text.match_indices("docs/") {
            let name: String = source.text[at..].chars().take_while(is_part).collect();
            if name.strip_suffix(".md").is_some() && !root().join(&name).exists() {
                problems.push(format!("{}: {name} is not there", source.path));
            }
        }
    }
    none(problems);
}

#[test]
fn the_code_map_is_true() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    let named = map.split('`').skip(1).step_by(2).filter(|name| name.contains("/src/") || name.ends_with('/'));
    none(named.filter(|name| !root().join(name).exists()).map(|name| format!("ARCHITECTURE.md: {name} is not there")));
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).expect("the reasons");
    let section = manifest.split("[workspace.dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    let names = section.expect("a section").lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let missing = names.filter(|name| !["common", "ui"].contains(name) && !reasons.contains(&format!("`{name}`")));
    none(missing.map(|name| format!("docs/dependencies.md: nothing about {name}")));
}

/// What `--help` has in capitals that is no variable.
const PLACEHOLDERS: [&str; 4] = ["NAME", "RELAY", "PROJECT", "RELEASE"];

/// The page that lists variables is the one people read; `--help` is the one they have.
#[test]
fn help_and_documentation_name_the_same_variables() {
    let common = fs::read_to_string(root().join("common/src/settings.rs")).expect("the common settings");
    let common = common.split("As every service:").nth(1).and_then(|rest| rest.split("\"\n").next()).expect("the text");
    let is_variable = |word: &str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    for service in ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"] {
        let config = fs::read_to_string(root().join(service).join("src/config.rs")).expect("the settings");
        let page = fs::read_to_string(root().join(format!("docs/{service}.md"))).expect("the page");
        let help = config.split("HELP: &str = \"").nth(1).and_then(|rest| rest.split("\";").next()).expect("the text");
        let text =
            format!("{help}{}", common.replace("PORT} ", "").replace("ADDRESS} ", "").replace("CONNECTIONS:", ""));
        let variables = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| is_variable(word));
        let missing = variables.filter(|name| !PLACEHOLDERS.contains(name) && !page.contains(name));
        none(missing.map(|name| format!("docs/{service}.md: nothing about {name}")));
    }
}

/// What clients may call is in `docs/openapi/`, and nothing else; what a browser opens for people is not.
#[test]
fn every_route_is_described() {
    let mut problems = Vec::new();
    for service in ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"] {
        let table = fs::read_to_string(root().join(service).join("src/routes.rs")).expect("the routes");
        let page = fs::read_to_string(root().join(format!("docs/openapi/{service}.yaml"))).expect("the description");
        let routes: Vec<(String, &str)> = table.split("Route::new(").skip(1).filter_map(route).collect();
        let described = operations(&page);
        let for_people = |path: &str| !path.starts_with("/api/") && path != "/metrics" && path != "/health";
        // A second name of a path is told in words.
        let is_described = |route: &(String, &str)| {
            described.contains(route)
                || (described.iter().all(|(_, path)| *path != route.1) && page.contains(&format!("`{}`", route.1)))
        };
        let missing = routes.iter().filter(|route| !for_people(route.1) && !is_described(route));
        problems.extend(
            missing.map(|(method, path)| format!("docs/openapi/{service}.yaml: nothing about {method} {path}")),
        );
        let unknown = described.iter().filter(|operation| !routes.contains(operation));
        problems
            .extend(unknown.map(|(method, path)| format!("docs/openapi/{service}.yaml: {method} {path} is no route")));
    }
    none(problems);
}

/// Method and path of `Post, "/api/errors", Key, …`.
fn route(text: &str) -> Option<(String, &str)> {
    let mut parts = text.split(['(', ',', '"']).map(str::trim).filter(|part| !part.is_empty());
    Some((parts.next()?.to_lowercase(), parts.next()?))
}

/// Methods and paths of a description.
fn operations(page: &str) -> Vec<(String, &str)> {
    let paths = page.split("\npaths:\n").nth(1).and_then(|rest| rest.split("\ncomponents:").next()).expect("paths");
    let mut path = "";
    let mut operations = Vec::new();
    for line in paths.lines() {
        match (line.strip_prefix("    "), line.strip_prefix("  ")) {
            (Some(inner), _) if inner.starts_with(|c: char| c.is_ascii_lowercase()) && path.starts_with('/') => {
                let method = inner.split(':').next().unwrap_or_default();
                if ["get", "post", "delete", "options", "put", "patch", "head"].contains(&method) {
                    operations.push((method.to_owned(), path));
                }
            }
            (None, Some(name)) => path = name.trim_end_matches(':'),
            _ => {}
        }
    }
    operations
}

#[test]
fn decisions_are_numbered() {
    let mut names: Vec<PathBuf> = fs::read_dir(root().join("docs/decisions"))
        .expect("decisions")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    for (number, path) in names.iter().enumerate() {
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(name.starts_with(&format!("{:04}-", number + 1)), "{name}: expected number {:04}", number + 1);
    }
}
