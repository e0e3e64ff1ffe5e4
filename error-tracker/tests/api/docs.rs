//! The commands in the documentation do what it says.

use std::process::Command;

use super::{KEY, binary, start};

/// The shell blocks of a Markdown text, in order; indented ones too.
fn shell_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in markdown.lines() {
        match (&mut block, line.trim_start()) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_command_of_the_page_runs() {
    let tracker = start();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/error-tracker.md");
    let blocks = shell_blocks(&std::fs::read_to_string(page).unwrap());
    assert!(blocks.len() >= 5, "the page has its commands in blocks marked sh");

    let path =
        format!("{}:{}", binary().parent().unwrap().display(), std::env::var_os("PATH").unwrap().to_string_lossy());
    for block in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .env("PATH", &path)
            .env("URL", format!("http://{}", tracker.address()))
            .env("KEY", KEY)
            .env("DATABASE_PATH", tracker.database())
            .env("BACKUP", tracker.database().with_extension("backup"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(tracker.client().get("/api/errors?resolved=true").json()["total"], 1);
}
