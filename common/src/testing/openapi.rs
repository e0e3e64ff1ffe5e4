//! Tries a service against its description in `docs/openapi/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Service;

/// Examples per operation, besides the edges of every parameter.
const EXAMPLES: &str = "20";

/// Sends what the description allows and what it does not, and panics at the first answer that it does not have. `headers` is
/// what lets a client in, such as `X-API-Key: …`.
#[track_caller]
pub fn check_description(page: &str, service: &Service, headers: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("MONLIGHT_VENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    let folder = root.join("docs/openapi");
    let mut command = Command::new(venv.join("bin/schemathesis"));
    command.arg("--config-file").arg(folder.join("schemathesis.toml"));
    command.arg("run").arg(folder.join(page)).arg("--url").arg(format!("http://{}", service.address()));
    for header in headers {
        command.args(["-H", header]);
    }
    command.args(["--max-examples", EXAMPLES, "--generation-deterministic", "--no-color"]);
    let output = command.output().expect("schemathesis, which `make setup-test` installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
