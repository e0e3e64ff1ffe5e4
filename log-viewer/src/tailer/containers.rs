//! Which containers there are: the folders of `LOG_SOURCES` that hold a `config.v2.json`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::entry::LogTime;
use crate::pattern::Patterns;

/// Docker's own files are some 10 KB; the original's limit.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Watched at a time: each costs a few KB and an open file. More than a server of this size runs.
const CONTAINERS_MAX: usize = 500;
/// Problems remembered as told already.
const TOLD_MAX: usize = 1000;
/// The log driver whose files we read.
const DRIVER: &str = "json-file";

/// A container as Docker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Option<LogTime>,
    pub(crate) folder: PathBuf,
}

impl Container {
    /// The file Docker writes to.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}-json.log", self.id))
    }
}

/// What we ask of `config.v2.json`. The rest, with the container's environment, is not even kept while it is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    name: String,
    created: Option<String>,
}

/// What we ask of `hostconfig.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    log_config: LogConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(default)]
    r#type: String,
}

/// Finds containers, and reads a description again only when its file has changed.
pub(crate) struct Discovery {
    sources: PathBuf,
    patterns: Patterns,
    known: BTreeMap<String, Known>,
    told: HashSet<String>,
}

struct Known {
    version: Version,
    container: Option<Container>,
}

/// What changes when Docker writes a description anew.
#[derive(PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl Discovery {
    pub(crate) fn new(sources: PathBuf, patterns: Patterns) -> Self {
        Self { sources, patterns, known: BTreeMap::new(), told: HashSet::new() }
    }

    /// The containers that are watched, by id. Fails when the folder itself cannot be read.
    pub(crate) fn scan(&mut self) -> io::Result<Vec<Container>> {
        let mut seen = BTreeMap::new();
        for entry in fs::read_dir(&self.sources)? {
            let entry = entry?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            if let Some(known) = self.look(&id, &entry.path()) {
                seen.insert(id, known);
            }
        }
        self.known = seen;
        let mut containers: Vec<Container> = self.known.values().filter_map(|known| known.container.clone()).collect();
        if containers.len() > CONTAINERS_MAX {
            self.tell(format!(
                "{} containers: only {CONTAINERS_MAX} are watched; name some in CONTAINERS",
                containers.len()
            ));
            containers.truncate(CONTAINERS_MAX);
        }
        Ok(containers)
    }

    fn look(&mut self, id: &str, folder: &Path) -> Option<Known> {
        let path = folder.join("config.v2.json");
        let version = match fs::metadata(&path) {
            Ok(meta) => Version::of(&meta),
            // Not a container, or one that is being made or removed.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
            Err(error) => {
                self.tell_unreadable(&path, &error);
                return None;
            }
        };
        if let Some(known) = self.known.remove(id)
            && known.version == version
        {
            return Some(known);
        }
        let container = self.describe(id, folder, &path);
        Some(Known { version, container })
    }

    /// None for a container that is not to be watched, or that cannot be read.
    fn describe(&mut self, id: &str, folder: &Path, path: &Path) -> Option<Container> {
        let config: Config = match read_json(path) {
            Ok(config) => config,
            Err(error) => {
                self.tell_unreadable(path, &error);
                return None;
            }
        };
        let name = config.name.trim_start_matches('/').to_owned();
        if !self.patterns.matches(&name) {
            return None;
        }
        if let Ok(host) = read_json::<HostConfig>(&folder.join("hostconfig.json"))
            && !host.log_config.r#type.is_empty()
            && host.log_config.r#type != DRIVER
        {
            let driver = host.log_config.r#type;
            self.tell(format!(
                "container {name} logs with the driver {driver:?}, so its lines cannot be read here; expected {DRIVER}"
            ));
            return None;
        }
        let created = config.created.as_deref().and_then(LogTime::parse);
        Some(Container { id: id.to_owned(), name, created, folder: folder.to_owned() })
    }

    fn tell_unreadable(&mut self, path: &Path, error: &dyn Display) {
        self.tell(format!("{} cannot be read: {error}", path.display()));
    }

    /// Warns once.
    fn tell(&mut self, problem: String) {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if !self.told.contains(&problem) {
            log::warn!("{problem}");
            self.told.insert(problem);
        }
    }
}

impl Version {
    fn of(meta: &fs::Metadata) -> Self {
        Self { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()), bytes: meta.len() }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let file = BufReader::new(File::open(path)?.take(CONFIG_BYTES_MAX));
    // The position alone: the message could quote what the file holds.
    serde_json::from_reader(file).map_err(|error: serde_json::Error| {
        io::Error::new(
            ErrorKind::InvalidData,
            format!("malformed JSON at line {} column {}", error.line(), error.column()),
        )
    })
}

#[cfg(test)]
mod tests {
    use common::testing::TempDir;

    use super::*;

    fn make(folder: &Path, id: &str, config: &str) {
        fs::create_dir_all(folder.join(id)).expect("a folder");
        fs::write(folder.join(id).join("config.v2.json"), config).expect("written");
    }

    fn names(discovery: &mut Discovery) -> Vec<String> {
        discovery.scan().expect("readable").into_iter().map(|container| container.name).collect()
    }

    #[test]
    fn containers_come_go_and_change_their_name() {
        let folder = TempDir::new();
        let mut discovery = Discovery::new(folder.path().to_owned(), Patterns::new(vec!["web*".into()]));
        make(
            folder.path(),
            "a",
            r#"{"Config":{"Env":["SECRET=x"]},"Name":"/web-1","Created":"2026-01-01T00:00:00.5Z"}"#,
        );
        make(folder.path(), "b", r#"{"Name":"/db"}"#);
        make(folder.path(), "c", r#"{"Name":"/web-2"}"#);
        make(folder.path(), "d", r#"{"Name":"#);
        fs::write(folder.path().join("file"), "x").expect("written");
        let found = discovery.scan().expect("readable");
        assert_eq!(found[0].created, LogTime::parse("2026-01-01T00:00:00.5Z"));
        assert_eq!(names(&mut discovery), ["web-1", "web-2"]);
        make(folder.path(), "a", r#"{"Name":"/web-old"}"#);
        fs::remove_dir_all(folder.path().join("c")).expect("removed");
        make(folder.path(), "d", r#"{"Name":"/web-3"}"#);
        assert_eq!(names(&mut discovery), ["web-old", "web-3"]);
    }

    #[test]
    fn another_log_driver_is_not_watched() {
        let folder = TempDir::new();
        let mut discovery = Discovery::new(folder.path().to_owned(), Patterns::default());
        for (id, driver) in [("a", "local"), ("b", "json-file"), ("c", "")] {
            make(folder.path(), id, &format!(r#"{{"Name":"/{id}"}}"#));
            let host = format!(r#"{{"LogConfig":{{"Type":"{driver}","Config":{{}}}}}}"#);
            fs::write(folder.path().join(id).join("hostconfig.json"), host).expect("written");
        }
        assert_eq!(names(&mut discovery), ["b", "c"]);
        assert_eq!(discovery.told.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        let folder = TempDir::new();
        make(folder.path(), "a", r#"{"Name": 7, "Env": "SECRET"}"#);
        let mut discovery = Discovery::new(folder.path().to_owned(), Patterns::default());
        assert!(names(&mut discovery).is_empty());
        assert!(names(&mut discovery).is_empty());
        assert_eq!(discovery.told.len(), 1);
        assert!(!format!("{:?}", discovery.told).contains("SECRET"));
        assert!(Discovery::new(folder.path().join("no"), Patterns::default()).scan().is_err());
    }
}
