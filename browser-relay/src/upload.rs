//! `browser-relay --upload-maps`: sends the source maps of a build to a relay, from a CI pipeline.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
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
const TAIL_BYTES: u64 = 4 << 10;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(60);
/// What is read of a refusal.
const ANSWER_BYTES_MAX: u64 = 4 << 10;
/// Tries of one map while the relay cannot be reached, as when it restarts.
const TRIES_MAX: usize = 5;
/// The same while it says when to come back: it reads another's map, or has seen enough requests for this minute.
const BUSY_TRIES_MAX: usize = 20;
/// The first pause between two tries, unless the relay says how long; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The relay counts by the minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    folder: PathBuf,
    relay: String,
    project: String,
    release: String,
    /// With a slash at its start, unless it is a URL, and none at its end.
    prefix: String,
}

/// Does what the arguments after the program's name say. Exit code 2 when they are wrong, 1 when an upload failed.
pub fn main(arguments: &[String]) -> ExitCode {
    let mut env = Env::process();
    let key = env.required_key("ADMIN_API_KEY");
    let order = match (parse(arguments), env.finish()) {
        (Ok(order), Ok(())) => order,
        (Err(problem), _) => return fail(&format!("{problem}\n{USAGE}"), 2),
        (_, Err(problems)) => return fail(&problems.to_string(), 2),
    };
    let Build { pairs, missing } = match Build::read(&order.folder) {
        Ok(build) => build,
        Err(error) => return fail(&error.to_string(), 1),
    };
    for script in missing {
        say(&format!("{script}: the map that it names is not there"));
    }
    if pairs.is_empty() {
        return fail(&format!("{}: no script has a map", order.folder.display()), 1);
    }
    let uploaded = Upload::new(&order, key.expose()).all(&pairs);
    say(&format!("{uploaded} of {} maps uploaded", pairs.len()));
    if uploaded == pairs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
        prefix: prefix.map(|prefix| rooted(prefix.trim_end_matches('/'))).unwrap_or_default(),
    })
}

/// Frames name whole paths.
fn rooted(prefix: &str) -> String {
    let is_rooted = prefix.is_empty() || prefix.starts_with('/') || prefix.contains("://");
    format!("{}{prefix}", if is_rooted { "" } else { "/" })
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

/// What is in a folder.
#[derive(Debug, Default)]
struct Build {
    /// All scripts that have a map, in the order of their names.
    pairs: Vec<Pair>,
    /// Scripts that name a map which is not there.
    missing: Vec<String>,
}

impl Build {
    fn read(folder: &Path) -> io::Result<Self> {
        let mut build = Self::default();
        let mut seen = 0;
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((current, depth)) = folders.pop() {
            let problem = |why: String| io::Error::other(format!("{}: {why}", current.display()));
            if depth > DEPTH_MAX {
                return Err(problem(format!("expected folders at most {DEPTH_MAX} deep")));
            }
            for entry in fs::read_dir(&current).map_err(|error| problem(error.to_string()))? {
                let entry = entry.map_err(|error| problem(error.to_string()))?;
                seen += 1;
                if seen > FILES_MAX {
                    return Err(problem(format!("expected at most {FILES_MAX} files in {}", folder.display())));
                }
                let path = entry.path();
                // A link to a folder could lead in circles; one to a file is as good as the file.
                if entry.file_type().map_err(|error| problem(error.to_string()))?.is_dir() {
                    folders.push((path, depth + 1));
                } else if is_script(&path) && path.is_file() {
                    let add = build.add(folder, &path);
                    add.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
                }
            }
        }
        build.pairs.sort_by(|a, b| a.script.cmp(&b.script));
        build.missing.sort();
        Ok(build)
    }

    fn add(&mut self, folder: &Path, path: &Path) -> io::Result<()> {
        let text = tail(path)?;
        // What the script itself says comes first, then what is usual.
        let named = map_named_in(&text).and_then(|name| Some(path.parent()?.join(name)));
        let is_named = named.is_some();
        let mut usual = path.as_os_str().to_owned();
        usual.push(".map");
        let map = named.into_iter().chain([PathBuf::from(usual)]).find(|map| map.is_file());
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let script = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        match map {
            Some(map) => self.pairs.push(Pair { script, map }),
            None if is_named => self.missing.push(script),
            None => {}
        }
        Ok(())
    }
}

fn is_script(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| SCRIPTS.contains(&extension))
}

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file in the last `//# sourceMappingURL=` comment, unless that is a whole URL.
fn map_named_in(script: &str) -> Option<&str> {
    let (_, rest) = script.rsplit_once("# sourceMappingURL=")?;
    let name = rest.lines().next()?.trim();
    let name = name.split(['?', '#']).next().unwrap_or(name);
    (!name.is_empty() && !name.contains(':') && !name.starts_with('/')).then_some(name)
}

/// The way to a relay.
struct Upload<'a> {
    agent: Agent,
    url: String,
    key: &'a str,
    order: &'a Order,
}

/// Why a map was not uploaded.
enum Failure {
    /// The next one may fare better.
    OfThis(String),
    /// The next one would fare the same: the relay is not there, or refuses the key.
    OfAll(String),
    /// It is worth another try, after this time if the relay said so.
    ForNow { why: String, retry_after: Option<Duration> },
}

impl<'a> Upload<'a> {
    fn new(order: &'a Order, key: &'a str) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(UPLOAD_TIME_MAX))
            .http_status_as_error(false)
            // The key is for the relay alone.
            .max_redirects(0)
            .max_redirects_will_error(false);
        Self { agent: config.build().new_agent(), url: format!("{}/api/source-maps", order.relay), key, order }
    }

    /// How many of these could be uploaded.
    fn all(&self, pairs: &[Pair]) -> usize {
        let mut uploaded = 0;
        for pair in pairs {
            let file_url = pair.file_url(self.order);
            match self.one(&file_url, &pair.map) {
                Ok(()) => {
                    uploaded += 1;
                    say(&format!("{file_url}: uploaded"));
                }
                Err(Failure::OfThis(why)) => say(&format!("{file_url}: {why}")),
                Err(Failure::OfAll(why) | Failure::ForNow { why, .. }) => {
                    say(&format!("{file_url}: {why}; giving up"));
                    break;
                }
            }
        }
        uploaded
    }

    fn one(&self, file_url: &str, map: &Path) -> Result<(), Failure> {
        let content =
            fs::read_to_string(map).map_err(|error| Failure::OfThis(format!("{}: {error}", map.display())))?;
        let Order { project, release, .. } = self.order;
        let body = json!({"project": project, "release": release, "file_url": file_url, "map_content": content});
        let body = body.to_string();
        if body.len() > MAP_BODY_BYTES_MAX {
            return Err(Failure::OfThis(format!("expected at most {MAP_BODY_BYTES_MAX} bytes, got {}", body.len())));
        }
        let (mut pause, mut tries) = (PAUSE_MIN, 0);
        loop {
            let outcome = self.send(&body);
            let Err(Failure::ForNow { why, retry_after }) = &outcome else { return outcome };
            tries += 1;
            if tries >= if retry_after.is_some() { BUSY_TRIES_MAX } else { TRIES_MAX } {
                return outcome;
            }
            let wait = retry_after.unwrap_or(pause).min(PAUSE_MAX);
            say(&format!("{file_url}: {why}; trying again in {} s", wait.as_secs_f32()));
            thread::sleep(wait);
            pause *= 2;
        }
    }

    fn send(&self, body: &str) -> Result<(), Failure> {
        let request =
            self.agent.post(&self.url).header("content-type", "application/json").header("x-api-key", self.key);
        let response = request
            .send(body.as_bytes())
            .map_err(|error| Failure::ForNow { why: format!("{}: {error}", self.url), retry_after: None })?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let retry_after = header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let location = header("location");
        let mut answer = String::new();
        // A refusal that cannot be read is still one.
        let _ = response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_string(&mut answer);
        let why = format!("status {status}: {answer}");
        Err(match status {
            201 => return Ok(()),
            300..=399 => {
                let location = location.unwrap_or_default();
                Failure::OfAll(format!("{} redirects to {location:?}, which is not followed", self.url))
            }
            401 | 403 | 404 => Failure::OfAll(format!("{}: {why}", self.url)),
            429 | 502..=504 => Failure::ForNow { why, retry_after },
            _ => Failure::OfThis(why),
        })
    }
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
    fn a_prefix_is_a_whole_path() {
        for (prefix, expected) in [
            ("/static/", "/static"),
            ("static", "/static"),
            ("/", ""),
            ("", ""),
            ("https://cdn.example/s/", "https://cdn.example/s"),
        ] {
            assert_eq!(rooted(prefix.trim_end_matches('/')), expected, "{prefix}");
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
        write("lost.js", "//# sourceMappingURL=lost.js.map");
        write("elsewhere.js", "//# sourceMappingURL=https://cdn.example/elsewhere.js.map");
        std::os::unix::fs::symlink("b.js", home.path().join("link.js")).expect("a link");
        std::os::unix::fs::symlink("b.js.map", home.path().join("link.js.map")).expect("a link");
        std::os::unix::fs::symlink(".", home.path().join("circle")).expect("a link");
        write("style.css", "");
        write("style.css.map", "{}");
        let Build { pairs, missing } = Build::read(home.path()).expect("readable");
        let scripts: Vec<&str> = pairs.iter().map(|pair| pair.script.as_str()).collect();
        assert_eq!(scripts, ["a.js", "b.js", "link.js", "sub/c.mjs"]);
        assert!(pairs[0].map.ends_with("maps/a.map"));
        assert_eq!(missing, ["lost.js"]);
        let problem = Build::read(&home.path().join("nowhere")).expect_err("no folder").to_string();
        assert!(problem.contains("nowhere: No such file"), "{problem}");
    }
}
