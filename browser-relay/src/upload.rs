//! `browser-relay --upload-maps`: sends the source maps of a build to a relay, from a CI pipeline.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use common::env::Env;
use serde_json::json;
use ureq::Agent;

use crate::config::MAP_BODY_BYTES_MAX;

const USAGE: &str = "\
Usage: browser-relay --upload-maps DIR --url RELAY --project PROJECT --release RELEASE [--prefix PATH]

Finds the scripts below DIR that have a source map and uploads the maps. A script at DIR/a/b.js is known as PATH/a/b.js;
PATH is where DIR is served, / when not given. The environment has the key, as ADMIN_API_KEY or ADMIN_API_KEY_FILE.";

/// What counts as a script.
const SCRIPTS: [&str; 3] = ["js", "mjs", "cjs"];
/// A build has some hundred files; more than this is the wrong folder.
const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 32;
/// The comment that names a map is in the last bytes of a script.
const TAIL_BYTES: usize = 4 << 10;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(60);
/// What is read of a refusal.
const ANSWER_BYTES_MAX: u64 = 4 << 10;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    folder: PathBuf,
    relay: String,
    project: String,
    release: String,
    /// Without a slash at its end.
    prefix: String,
}

/// Does what the arguments after the program's name say. Exit code 2 when they are wrong, 1 when an upload failed.
pub fn main(arguments: &[String]) -> ExitCode {
    let mut env = Env::process();
    let key = env.required_secret("ADMIN_API_KEY");
    let order = match (parse(arguments), env.finish()) {
        (Ok(order), Ok(())) => order,
        (Err(problem), _) => return fail(&format!("{problem}\n{USAGE}"), 2),
        (_, Err(problems)) => return fail(&problems.to_string(), 2),
    };
    let pairs = match find_pairs(&order.folder) {
        Ok(pairs) if pairs.is_empty() => return fail(&format!("{}: no script has a map", order.folder.display()), 1),
        Ok(pairs) => pairs,
        Err(error) => return fail(&format!("{}: {error}", order.folder.display()), 1),
    };
    let config = Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIME_MAX))
        .timeout_global(Some(UPLOAD_TIME_MAX))
        .http_status_as_error(false);
    let agent = config.build().new_agent();
    let mut failures = 0;
    for pair in &pairs {
        let file_url = pair.file_url(&order);
        match upload(&agent, key.expose(), &order, &file_url, &pair.map) {
            Ok(()) => say(&format!("{file_url}: uploaded")),
            Err(problem) => {
                failures += 1;
                say(&format!("{file_url}: {problem}"));
            }
        }
    }
    say(&format!("{} of {} maps uploaded", pairs.len() - failures, pairs.len()));
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Result<Order, String> {
    let mut words = arguments.iter().map(String::as_str);
    let (mut folder, mut relay, mut project, mut release, mut prefix) = (None, None, None, None, None);
    while let Some(word) = words.next() {
        let slot = match word {
            "--upload-maps" => &mut folder,
            "--url" => &mut relay,
            "--project" => &mut project,
            "--release" => &mut release,
            "--prefix" => &mut prefix,
            _ => return Err(format!("unknown argument {word:?}")),
        };
        let value = words.next().filter(|value| !value.is_empty() && !value.starts_with("--"));
        *slot = Some(value.ok_or_else(|| format!("{word}: expected a value"))?.to_owned());
    }
    let required = |value: Option<String>, name: &str| value.ok_or_else(|| format!("{name}: required"));
    Ok(Order {
        folder: PathBuf::from(required(folder, "--upload-maps")?),
        relay: required(relay, "--url")?.trim_end_matches('/').to_owned(),
        project: required(project, "--project")?,
        release: required(release, "--release")?,
        prefix: prefix.unwrap_or_default().trim_end_matches('/').to_owned(),
    })
}

/// A script and its map.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    /// From the folder, with `/` between names.
    script: String,
    map: PathBuf,
}

impl Pair {
    fn file_url(&self, order: &Order) -> String {
        format!("{}/{}", order.prefix, self.script)
    }
}

/// All scripts below a folder that have a map, in the order of their names.
fn find_pairs(folder: &Path) -> io::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((current, depth)) = folders.pop() {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            seen += 1;
            if seen > FILES_MAX {
                return Err(io::Error::other(format!("expected at most {FILES_MAX} files")));
            }
            // A link could lead in circles.
            let kind = fs::symlink_metadata(&path)?;
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if kind.is_file() && is_script(&path) {
                pairs.extend(pair(folder, &path)?);
            }
        }
    }
    pairs.sort_by(|a, b| a.script.cmp(&b.script));
    Ok(pairs)
}

fn is_script(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| SCRIPTS.contains(&extension))
}

fn pair(folder: &Path, script: &Path) -> io::Result<Option<Pair>> {
    let text = tail(script)?;
    // What the script itself says comes first, then what is usual.
    let named = map_named_in(&text).and_then(|name| Some(script.parent()?.join(name)));
    let mut usual = script.as_os_str().to_owned();
    usual.push(".map");
    let map = [named, Some(PathBuf::from(usual))].into_iter().flatten().find(|map| map.is_file());
    let relative = script.strip_prefix(folder).unwrap_or(script);
    let script = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    Ok(map.map(|map| Pair { script, map }))
}

fn tail(script: &Path) -> io::Result<String> {
    let bytes = fs::read(script)?;
    Ok(String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned())
}

/// The file in the last `//# sourceMappingURL=` comment, unless that is a whole URL.
fn map_named_in(script: &str) -> Option<&str> {
    let (_, rest) = script.rsplit_once("# sourceMappingURL=")?;
    let name = rest.lines().next()?.trim();
    let name = name.split(['?', '#']).next().unwrap_or(name);
    (!name.is_empty() && !name.contains(':') && !name.starts_with('/')).then_some(name)
}

fn upload(agent: &Agent, key: &str, order: &Order, file_url: &str, map: &Path) -> Result<(), String> {
    let content = fs::read_to_string(map).map_err(|error| format!("{}: {error}", map.display()))?;
    let body = json!({
        "project": order.project, "release": order.release, "file_url": file_url, "map_content": content
    })
    .to_string();
    if body.len() > MAP_BODY_BYTES_MAX {
        return Err(format!("expected at most {MAP_BODY_BYTES_MAX} bytes, got {}", body.len()));
    }
    let url = format!("{}/api/source-maps", order.relay);
    let request = agent.post(&url).header("content-type", "application/json").header("x-api-key", key);
    let response = request.send(body.as_bytes()).map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    if status == 201 {
        return Ok(());
    }
    let mut answer = String::new();
    // A refusal that cannot be read is still one.
    let _ = response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_string(&mut answer);
    Err(format!("status {status}: {answer}"))
}

fn fail(text: &str, code: u8) -> ExitCode {
    say(text);
    ExitCode::from(code)
}

fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use common::testing::TempDir;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn arguments() {
        let order = parse(&words("--upload-maps d --url http://r/ --release 1 --project p --prefix /static/"));
        let expected = Order {
            folder: "d".into(),
            relay: "http://r".into(),
            project: "p".into(),
            release: "1".into(),
            prefix: "/static".into(),
        };
        assert_eq!(order, Ok(expected));
        for (text, problem) in [
            ("--upload-maps", "--upload-maps: expected a value"),
            ("--upload-maps --url", "--upload-maps: expected a value"),
            ("--upload-maps d", "--url: required"),
            ("--upload-maps d --url u --project p", "--release: required"),
            ("--upload-maps d --wat 1", "unknown argument \"--wat\""),
        ] {
            assert_eq!(parse(&words(text)), Err(problem.into()), "{text}");
        }
    }

    #[test]
    fn maps_are_found_beside_their_scripts() {
        let home = TempDir::new();
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        write("a.js", "x\n//# sourceMappingURL=maps/a.map\n");
        write("maps/a.map", "{}");
        write("b.js", "no comment");
        write("b.js.map", "{}");
        write("sub/c.mjs", "//# sourceMappingURL=c.mjs.map?v=1");
        write("sub/c.mjs.map", "{}");
        write("inline.js", "//# sourceMappingURL=data:application/json;base64,e30=");
        write("none.js", "");
        write("style.css", "");
        write("style.css.map", "{}");
        let pairs = find_pairs(home.path()).expect("readable");
        let scripts: Vec<&str> = pairs.iter().map(|pair| pair.script.as_str()).collect();
        assert_eq!(scripts, ["a.js", "b.js", "sub/c.mjs"]);
        assert!(pairs[0].map.ends_with("maps/a.map"));
    }
}
