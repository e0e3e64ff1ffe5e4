//! For tests of the documentation: runs the commands of a page.

use std::path::Path;
use std::process::Command;

use super::Service;

/// Runs every block marked `sh` of a page in `docs/`, as a reader would, and panics at the first that fails. `binary` can be
/// called by its name. The blocks find the service at `$URL` with its `$DATABASE_PATH`, may write to `$BACKUP`, and know the
/// `secrets`.
#[track_caller]
pub fn run_commands(page: &str, binary: &Path, service: &Service, database: &Path, secrets: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let blocks = shell_blocks(&std::fs::read_to_string(path).expect("the page"));
    assert!(!blocks.is_empty(), "{page}: expected commands in blocks marked sh");
    let folder = binary.parent().expect("a folder").display();
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let search = format!("{folder}:{}", folders.to_string_lossy());
    for block in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .env("PATH", &search)
            .env("URL", format!("http://{}", service.address()))
            .envs(secrets.iter().copied())
            .env("DATABASE_PATH", database)
            .env("BACKUP", database.with_extension("backup"))
            .output()
            .expect("bash");
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

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
