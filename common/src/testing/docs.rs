//! For tests of the documentation: reads its pages, runs the commands on them, compares their tables with `--help`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::Service;

/// A fenced block of a page.
pub struct Block {
    /// Where it begins.
    pub line: usize,
    /// The word behind the fence.
    pub language: String,
    /// What is in it.
    pub text: String,
}

/// The fenced blocks of a Markdown text, in order; indented ones too.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in markdown.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { line: number + 1, language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks.extend(open);
    blocks
}

/// A page of `docs/`.
#[track_caller]
pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs every block marked `sh` of a page in `docs/`, as a reader would, and panics at the first that fails. `binary` can be
/// called by its name. The blocks run in the folder of the `database`, find the service at `$URL` with its `$DATABASE_PATH`,
/// may write to `$BACKUP`, and know the `secrets`.
#[track_caller]
pub fn run_commands(name: &str, binary: &Path, service: &Service, database: &Path, secrets: &[(&str, &str)]) {
    let blocks = blocks(&page(name)).into_iter().filter(|block| block.language == "sh").collect::<Vec<_>>();
    assert!(!blocks.is_empty(), "{name}: expected commands in blocks marked sh");
    for block in blocks {
        run_block(&block, binary, service, database, secrets);
    }
}

/// Runs one block.
#[track_caller]
pub fn run_block(block: &Block, binary: &Path, service: &Service, database: &Path, secrets: &[(&str, &str)]) {
    let folder = binary.parent().expect("a folder").display();
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &block.text])
        .current_dir(database.parent().expect("a folder"))
        .env("PATH", format!("{folder}:{}", folders.to_string_lossy()))
        .env("URL", format!("http://{}", service.address()))
        .envs(secrets.iter().copied())
        .env("DATABASE_PATH", database)
        .env("BACKUP", database.with_extension("backup"))
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "line {}: {}\n{said}", block.line, block.text);
}

/// A line of `--help` about environment variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Variables<'a> {
    /// One, or more that belong together.
    pub names: Vec<&'a str>,
    /// The default of the last one, or `required`.
    pub default: Option<&'a str>,
}

/// Where `--help` has the defaults, unless a name is too long for that.
const DEFAULTS_AT: usize = 23;

/// The variables in a part of a `--help`.
pub fn variables(help: &str) -> Vec<Variables<'_>> {
    help.lines().filter_map(variables_of_line).collect()
}

fn variables_of_line(line: &str) -> Option<Variables<'_>> {
    let is_name = |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.is_empty();
    let text = line.strip_prefix("  ")?;
    let (mut names, mut end) = (Vec::new(), 2);
    for word in text.split(' ') {
        let name = word.trim_end_matches(',');
        if !is_name(name) {
            break;
        }
        names.push(name);
        end += word.len() + 1;
        if name == word {
            break;
        }
    }
    let rest = line.get(end.max(DEFAULTS_AT)..).unwrap_or_default();
    let default = rest.split(' ').next().filter(|word| !word.is_empty());
    (!names.is_empty()).then_some(Variables { names, default })
}

/// Compares what `--help` of a service says about its variables with the tables of its page, and what it says about those of
/// every service with the tables of `configuration.md`: the same names, and the same defaults.
///
/// # Panics
/// When they differ.
#[track_caller]
pub fn check_variables(service: &str, binary: &Path) {
    let output = super::run(binary, &["--help"], &[]);
    let help = String::from_utf8(output.stdout).expect("text");
    let (own, common) = help.split_once("As every service:").expect("both parts");
    check_tables(service, &variables(own), &format!("{service}.md"), "\n## Configuration\n");
    check_tables(service, &variables(common), "configuration.md", "\n## Every service\n");
}

#[track_caller]
fn check_tables(service: &str, expected: &[Variables<'_>], name: &str, heading: &str) {
    let page = page(name);
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("{name}: expected the heading {heading:?}"));
    let rows = table_rows(section.split("\n## ").next().unwrap_or_default(), service);
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let documented: BTreeSet<String> = rows.iter().flat_map(|(variable, _)| names(variable)).collect();
    let real: BTreeSet<String> = expected.iter().flat_map(|line| &line.names).map(|name| (*name).to_owned()).collect();
    assert_eq!(documented, real, "{name} and {service} --help, in this order");
    for line in expected {
        let Some(default) = line.default else { continue };
        let last = (*line.names.last().expect("a name")).to_owned();
        let cells: Vec<_> = rows.iter().filter(|(variable, _)| names(variable).contains(&last)).collect();
        let is_there = |cell: &str| cell == default || cell.contains(&format!("`{default}`"));
        assert!(cells.iter().any(|(_, cell)| is_there(cell)), "{name}: expected {default} for {last}, got {cells:?}");
    }
}

/// The first cell of each row, and the one below the service's name, else the second.
fn table_rows(section: &str, service: &str) -> Vec<(String, String)> {
    let mut column = 1;
    let mut rows = Vec::new();
    for line in section.lines().filter_map(|line| line.strip_prefix('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells[0] == "variable" {
            column = cells.iter().position(|cell| *cell == service).unwrap_or(1);
        } else if cells[0].starts_with('`') {
            rows.push((cells[0].to_owned(), cells[column].to_owned()));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_a_place_and_a_language() {
        let blocks = blocks("# A\n\n```sh\ntrue\n\nfalse\n```\n\n- b\n  ```text\n  x\n  ```\n");
        let found: Vec<_> = blocks.iter().map(|block| (block.line, &*block.language, &*block.text)).collect();
        assert_eq!(found, [(3, "sh", "true\n\nfalse\n"), (10, "text", "  x\n")]);
    }

    #[test]
    fn lines_of_help_are_understood() {
        let check = |line: &'static str, names: &[&str], default: Option<&str>| {
            assert_eq!(variables(line), [Variables { names: names.to_vec(), default }], "{line}");
        };
        check("  API_KEY              required  the key", &["API_KEY"], Some("required"));
        check("  MIN_ENTRIES_PER_CONTAINER 1000 the newest", &["MIN_ENTRIES_PER_CONTAINER"], Some("1000"));
        check("  SMTP_HOST, SMTP_PORT 25        465: TLS", &["SMTP_HOST", "SMTP_PORT"], Some("25"));
        check("  SMTP_USERNAME, SMTP_PASSWORD   log in", &["SMTP_USERNAME", "SMTP_PASSWORD"], None);
        check("  CONTAINERS                     names to watch", &["CONTAINERS"], None);
        check("  DATABASE_PATH        ./data/errors.db", &["DATABASE_PATH"], Some("./data/errors.db"));
        assert_eq!(variables("What is kept:\n  browser-relay --url URL\n\n"), []);
    }
}
