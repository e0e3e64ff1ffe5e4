//! What the documentation says of itself is true: its links, its blocks, its lists.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use common::testing::docs::{Block, blocks, variables};

use super::{Source, none, root, sources};

const SERVICES: [&str; 4] = ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"];
/// Where links of the pages in `docs/` lead that leave this folder, so that they do so on a site as well.
const MAIN: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// The test that runs or checks every block of a page in these languages. It names the page.
const TESTS: [(&str, &str, &str); 17] = [
    ("README.md", "sh python", "deploy/tests/test_docs.py"),
    ("CONTRIBUTING.md", "sh", "deploy/tests/test_docs.py"),
    ("docs/getting-started.md", "sh python", "deploy/tests/test_docs.py"),
    ("docs/deployment.md", "sh cron", "deploy/tests/test_docs.py"),
    ("docs/operations.md", "sh yaml", "scripts/tests/test_operations.py"),
    ("docs/troubleshooting.md", "sh", "deploy/tests/test_docs.py"),
    ("docs/migrating.md", "sh", "deploy/tests/test_docs.py"),
    ("docs/configuration.md", "yaml", "deploy/tests/test_docs.py"),
    ("docs/configuration.md", "sh", "error-tracker/tests/api/docs.rs"),
    ("docs/api.md", "sh json", "error-tracker/tests/api/docs.rs"),
    ("docs/error-tracker.md", "sh", "error-tracker/tests/api/docs.rs"),
    ("docs/log-viewer.md", "sh js", "log-viewer/tests/api/docs.rs"),
    ("docs/metrics-collector.md", "sh", "metrics-collector/tests/api/docs.rs"),
    ("docs/browser-relay.md", "sh", "browser-relay/tests/api/docs.rs"),
    ("clients/python/README.md", "python", "clients/python/tests/test_readme.py"),
    ("clients/js/README.md", "js html", "clients/js/tests/browser/readme.test.js"),
    ("clients/js/README.md", "sh", "browser-relay/tests/api/docs.rs"),
];

/// Blocks that nothing runs: how they begin, and why.
const NOT_RUN: [(&str, &str, &str); 2] = [
    ("clients/python/README.md", "pip install monlight ", "a registry has what was released last, not this"),
    ("clients/js/README.md", "npm install @monlight/browser\n", "likewise"),
];

/// What a block marked `text` shows is no command.
const PROGRAMS: [&str; 12] = [
    "cargo",
    "cp",
    "curl",
    "docker",
    "docker-compose",
    "git",
    "make",
    "npm",
    "pip",
    "sqlite3",
    "sudo",
    "deploy/backup.sh",
];

fn pages() -> Vec<Source> {
    sources().into_iter().filter(|source| source.ends_with(".md")).collect()
}

#[test]
fn every_block_is_run_or_checked() {
    let problem = |page: &Source, block: &Block| {
        let is_claimed = |(path, languages, _): &&(&str, &str, &str)| {
            *path == page.path && languages.split(' ').any(|language| language == block.language)
        };
        let is_excused = |(path, start, _): &&(&str, &str, &str)| *path == page.path && block.text.starts_with(start);
        let first = block.text.split_whitespace().next().unwrap_or_default();
        let what = if block.language == "text" {
            PROGRAMS.contains(&first).then_some("a command is no text")
        } else if TESTS.iter().any(|test| is_claimed(&test)) || NOT_RUN.iter().any(|block| is_excused(&block)) {
            None
        } else {
            Some("no test runs or checks it, see TESTS in common/tests/tidy/docs.rs")
        };
        what.map(|what| format!("{}:{}: a block of {:?}: {what}", page.path, block.line, block.language))
    };
    let check = |page: Source| blocks(&page.text).iter().filter_map(|block| problem(&page, block)).collect::<Vec<_>>();
    none(pages().into_iter().flat_map(check));
}

#[test]
fn tests_of_blocks_name_their_page() {
    let forgets = |(page, _, test): &&(&str, &str, &str)| {
        let name = page.rsplit('/').next().unwrap_or_default();
        !fs::read_to_string(root().join(test)).is_ok_and(|text| text.contains(name))
    };
    none(TESTS.iter().filter(forgets).map(|(page, _, test)| format!("{test}: expected a test of {page}")));
}

/// As GitHub and site generators make them of headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = BTreeSet::new();
    for heading in prose(markdown).filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = seen.entry(slug.clone()).or_default();
        anchors.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
        *before += 1;
    }
    anchors
}

/// The lines outside of blocks.
fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    let mut is_block = false;
    markdown.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    })
}

/// What a page links to or shows, by Markdown and by HTML.
fn targets(markdown: &str) -> Vec<&str> {
    let starts = ["](", "href=\"", "src=\"", "srcset=\""];
    let in_line = |line| starts.iter().flat_map(move |start| str::split(line, start).skip(1)).collect::<Vec<&str>>();
    let rests = prose(markdown).flat_map(in_line);
    rests.map(|rest| rest.split([')', '"', ' ']).next().unwrap_or_default()).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        let folder = root().join(&page.path).parent().expect("a folder").to_owned();
        for target in targets(&page.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match path.strip_prefix(MAIN) {
                Some(path) => root().join(path),
                None if path.contains(':') => continue,
                None if path.is_empty() => root().join(&page.path),
                None => folder.join(path),
            };
            let Ok(file) = file.canonicalize() else {
                problems.push(format!("{}: {target} is not there", page.path));
                continue;
            };
            if page.path.starts_with("docs/") && !path.contains(':') && !file.starts_with(root().join("docs")) {
                problems.push(format!("{}: {target} leaves docs/, expected {MAIN}…", page.path));
            }
            if !anchor.is_empty() && !fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(anchor)) {
                problems.push(format!("{}: {target}: no such heading", page.path));
            }
        }
    }
    none(problems);
}

#[test]
fn every_image_is_shown() {
    let pages = pages();
    let shown: BTreeSet<&str> =
        pages.iter().flat_map(|page| targets(&page.text)).filter_map(|path| path.rsplit('/').next()).collect();
    let images =
        fs::read_dir(root().join("docs/images")).expect("the images").map(|entry| entry.expect("an entry").file_name());
    let hidden = images.filter(|name| !shown.contains(&*name.to_string_lossy()));
    none(hidden.map(|name| format!("docs/images/{}: no page shows it", name.display())));
}

#[test]
fn anchors_are_those_of_headings() {
    let page = "# A b\n```sh\n# no\n```\n## `GET /x`, or _why_?\n## A b\n";
    let expected = ["a-b", "a-b-1", "get-x-or-_why_"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
    assert_eq!(
        targets("[a](b.md#c) ![d](e.png \"f\")\n`` \n```\n[no](no)\n```\n<img src=\"g.png\">"),
        ["b.md#c", "e.png", "g.png"]
    );
}

/// What a page says of itself before its text, for site generators.
#[derive(Debug)]
struct FrontMatter {
    title: String,
    description: String,
    order: u32,
}

/// The front matter of a page, or what is wrong with it.
fn front_matter(page: &Source) -> Result<FrontMatter, String> {
    let (head, body) = page
        .text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n\n"))
        .ok_or("expected front matter, an empty line, and a heading")?;
    let field = |name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        // Plain text is plain text in YAML as well.
        let is_plain =
            |value: &&str| !value.contains(": ") && !value.contains(" #") && !value.starts_with(['"', '\'', '[']);
        value.filter(is_plain).map(str::to_owned).ok_or(format!("expected a {name} without marks of YAML"))
    };
    let title = field("title")?;
    if !body.starts_with(&format!("# {title}\n")) {
        return Err("expected the title as heading".to_owned());
    }
    let order = field("order")?.parse().map_err(|_| "order: expected a number")?;
    Ok(FrontMatter { title, description: field("description")?, order })
}

/// A description is cut by search engines beyond this.
const DESCRIPTION_CHARACTERS_MAX: usize = 160;

/// The pages of the site in their order.
fn site() -> Vec<(Source, FrontMatter)> {
    let mut problems = Vec::new();
    let mut site = Vec::new();
    let is_page = |page: &Source| page.path.starts_with("docs/") && !page.path.starts_with("docs/decisions/");
    for page in pages().into_iter().filter(is_page) {
        match front_matter(&page) {
            Ok(front) if front.description.chars().count() > DESCRIPTION_CHARACTERS_MAX => {
                problems.push(format!("{}: description over {DESCRIPTION_CHARACTERS_MAX} characters", page.path));
            }
            Ok(front) => site.push((page, front)),
            Err(problem) => problems.push(format!("{}: {problem}", page.path)),
        }
    }
    none(problems);
    site.sort_by_key(|(_, front)| front.order);
    site
}

#[test]
fn every_page_has_its_place_on_the_site() {
    let site = site();
    let shared = site.windows(2).filter(|pair| pair[0].1.order == pair[1].1.order);
    none(shared.map(|pair| format!("{} and {} have the same order", pair[0].0.path, pair[1].0.path)));
}

/// <https://llmstxt.org>
#[test]
fn llms_txt_lists_the_site() {
    let text = fs::read_to_string(root().join("docs/llms.txt")).expect("docs/llms.txt");
    let line = |(page, front): &(Source, FrontMatter)| {
        let name = page.path.strip_prefix("docs/").unwrap_or_default();
        format!("- [{}]({name}): {}", front.title, front.description)
    };
    let missing = site().iter().map(line).filter(|line| !text.lines().any(|found| found == line)).collect::<Vec<_>>();
    none(missing.into_iter().map(|line| format!("docs/llms.txt: expected the line\n{line}")));
    for target in targets(&text) {
        assert!(
            target.contains(':') || root().join("docs").join(target).exists(),
            "docs/llms.txt: {target} is not there"
        );
    }
}

/// Whoever looks for a message finds it only if it is there to the letter.
#[test]
fn messages_to_look_for_are_said() {
    let sources = sources();
    let code: Vec<&Source> = sources.iter().filter(|source| source.path.contains("/src/")).collect();
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("the page");
    let (_, section) = page.split_once("\n## It does not start\n").expect("the section");
    let table = section.split("\n## ").next().unwrap_or_default();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let parts =
        cells.flat_map(|cell| cell.split('…')).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    assert!(parts.len() > 5, "{parts:?}");
    let metrics =
        page.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| word.starts_with("monlight_"));
    let missing = parts.into_iter().chain(metrics).filter(|part| !code.iter().any(|source| source.text.contains(part)));
    none(missing.map(|part| format!("docs/troubleshooting.md: nothing says {part:?}")));
}

/// What operators set, and what the compose files take.
#[test]
fn variables_of_the_compose_files_are_documented() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("the file");
    let files = ["docker-compose.yml", "deploy/docker-compose.monitoring.yml"].map(read).concat();
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect::<String>();
    let taken: BTreeSet<String> = files.split("${").skip(1).map(name).collect();
    let page = read("docs/configuration.md");
    let section = page.split("\n## Compose files\n").nth(1).expect("the section");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let documented: BTreeSet<String> =
        cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|name| name.len() > 3).map(str::to_owned).collect();
    assert_eq!(documented, taken, "docs/configuration.md, and the compose files");
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
        // A preflight is answered at the gate; it has the path of what it asks about.
        let is_known = |(method, path): &(String, &str)| {
            routes.iter().any(|route| route.1 == *path && (route.0 == *method || method == "options"))
        };
        let unknown = described.iter().filter(|operation| !is_known(operation));
        problems
            .extend(unknown.map(|(method, path)| format!("docs/openapi/{service}.yaml: {method} {path} is no route")));
    }
    none(problems);
}

#[test]
fn descriptions_have_the_version_of_their_service() {
    let version = |path: String, start: &str| {
        let text = fs::read_to_string(root().join(&path)).expect("a file");
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("{path}: no version")).trim_matches('"').to_owned()
    };
    for service in SERVICES {
        let described = version(format!("docs/openapi/{service}.yaml"), "  version: ");
        assert_eq!(described, version(format!("{service}/Cargo.toml"), "version = "), "docs/openapi/{service}.yaml");
    }
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

/// Names of environment variables in the words of a file.
fn names_read(code: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    code.split('"').skip(1).step_by(2).filter(is_name).collect()
}

/// The tests of each service compare its page with its `--help`; this compares `--help` with what is read.
#[test]
fn help_has_the_variables_that_are_read() {
    let files = SERVICES.map(|service| format!("{service}/src/config.rs"));
    for file in files.into_iter().chain(["common/src/settings.rs".to_owned()]) {
        let text = fs::read_to_string(root().join(&file)).expect("the settings");
        let (_, rest) = text.split_once("\"\\\n").expect("the help");
        let (help, code) = rest.split_once("\n\"").expect("its end");
        let help: BTreeSet<&str> = variables(help).into_iter().flat_map(|line| line.names).collect();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        assert_eq!(help, names_read(code), "{file}: what --help has, and what is read");
    }
}
