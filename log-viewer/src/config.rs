//! The settings of log-viewer, read once at start, and its limits.

use std::path::PathBuf;
use std::time::Duration;

use common::auth::ApiKey;
use common::env::{Env, Problems};
use common::settings::{Defaults, Settings};

use crate::pattern::Patterns;
use crate::store::Limits;

/// What differs from the other services.
pub(crate) const DEFAULTS: Defaults = Defaults { database_path: "./data/logs.db", rate_limit: 60, workers: 4 };

/// The text of `--help` between the usage line and what all services have.
pub(crate) const HELP: &str = "\
Reads Docker's json-file logs from disk: full-text search, live tail.
It is configured by environment variables; a secret NAME may be read from a file named by NAME_FILE.

  API_KEY              required  the key clients send as X-API-Key or Authorization: Bearer (secret)

What is read:
  LOG_SOURCES          /var/lib/docker/containers   where Docker keeps its containers' folders
  CONTAINERS                     names to watch, separated by commas, * for any characters; all when empty
  POLL_INTERVAL        2         seconds between two looks where inotify does not tell
  TAIL_BUFFER          65536     bytes read back of a log that was there before the first start

What is kept:
  MAX_ENTRIES          100000    the oldest go first
  MIN_ENTRIES_PER_CONTAINER 1000 the newest of each container stay, however much the others write
  MAX_BYTES                      size of the database file, no limit when empty
  MAX_AGE_DAYS                   days an entry is kept, no limit when empty
";

/// Longer is not polling any more.
const POLL_SECONDS_MAX: u64 = 3600;
/// A file of this many entries is some 100 GB.
const ENTRIES_MAX: u64 = 1_000_000_000;
/// Smaller than this the file's own structure would not fit.
const BYTES_MIN: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything the environment decides.
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) api_key: ApiKey,
    /// Where the containers' folders are.
    pub(crate) sources: PathBuf,
    pub(crate) containers: Patterns,
    pub(crate) poll_interval: Duration,
    pub(crate) tail_bytes: u64,
    pub(crate) limits: Limits,
}

impl Config {
    /// Reads all variables; every problem is reported at once.
    pub(crate) fn read(mut env: Env) -> Result<Self, Problems> {
        let config = Self {
            api_key: ApiKey::new(env.required_key("API_KEY")),
            settings: Settings::read(&mut env, &DEFAULTS),
            sources: sources(&mut env),
            containers: Patterns::new(env.list("CONTAINERS")),
            poll_interval: Duration::from_secs(env.integer("POLL_INTERVAL", 2, 1..=POLL_SECONDS_MAX)),
            tail_bytes: env.integer("TAIL_BUFFER", 65_536, 0..=u64::MAX),
            limits: limits(&mut env),
        };
        env.finish().map(|()| config)
    }
}

fn sources(env: &mut Env) -> PathBuf {
    let path = PathBuf::from(env.text_or("LOG_SOURCES", "/var/lib/docker/containers"));
    if !path.is_absolute() {
        env.problem(format!("LOG_SOURCES: expected an absolute path, got {:?}", path.display().to_string()));
    }
    path
}

fn limits(env: &mut Env) -> Limits {
    // 0 stands for an empty variable: no limit.
    let bytes = env.integer("MAX_BYTES", 0, BYTES_MIN..=u64::MAX);
    let days = env.integer("MAX_AGE_DAYS", 0, 1..=36_500u32);
    Limits {
        entries_max: env.integer("MAX_ENTRIES", 100_000, 1..=ENTRIES_MAX),
        entries_per_container_min: env.integer("MIN_ENTRIES_PER_CONTAINER", 1000, 0..=ENTRIES_MAX),
        bytes_max: (bytes > 0).then_some(bytes),
        age_max: (days > 0).then(|| DAY * days),
    }
}
