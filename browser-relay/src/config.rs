//! The settings of browser-relay, read once at start, and its limits.

use std::time::Duration;

use common::auth::ApiKey;
use common::env::{Env, Problems, Secret};
use common::settings::{Defaults, Settings};

use crate::cors::Origins;
use crate::dsn;

/// What differs from the other services. Workers wait for back ends most of the time, so there are more of them.
pub(crate) const DEFAULTS: Defaults =
    Defaults { database_path: "./data/browser-relay.db", rate_limit: 300, workers: 16 };

/// The text of `--help` between the usage line and what all services have.
pub(crate) const HELP: &str = "\
The public door for browsers: takes their errors and metrics by DSN key, makes stack traces readable with source maps, and
forwards to error-tracker and metrics-collector.
It is configured by environment variables; a secret NAME may be read from a file named by NAME_FILE.

  ADMIN_API_KEY        required  the key for DSN keys and source maps, as X-API-Key or Authorization: Bearer (secret)
  ERROR_TRACKER_URL    required  such as http://error-tracker:8000
  ERROR_TRACKER_API_KEY required (secret)
  METRICS_COLLECTOR_URL required such as http://metrics-collector:8000
  METRICS_COLLECTOR_API_KEY required (secret)

What browsers may send (RATE_LIMIT counts by DSN key and address):
  CORS_ORIGINS                   pages that may use it, separated by commas: https://example.com, https://*.example.com, *
  DSN_KEYS                       keys to make at start, as project:key, separated by commas
  MAX_BODY_SIZE        65536     bytes of an event or a batch

Source maps:
  RETENTION_DAYS       90        days a source map is kept

From a CI pipeline, with ADMIN_API_KEY in the environment:
  browser-relay --upload-maps DIR --url RELAY --project PROJECT --release RELEASE [--prefix PATH]
";

/// The largest `MAX_BODY_SIZE`: what error-tracker takes.
pub(crate) const EVENT_BYTES_MAX: usize = 256 << 10;
/// What all events that are not small may hold while they are translated and forwarded, besides their bodies.
pub(crate) const LARGE_EVENTS_BYTES_MAX: usize = 3 << 20;
/// A source map of 5 MiB as a JSON string, escapes included.
pub(crate) const MAP_BODY_BYTES_MAX: usize = 10 << 20;
/// What the body of a new DSN key may hold.
pub(crate) const KEY_BODY_BYTES_MAX: usize = 16 << 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything the environment decides.
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) admin_key: ApiKey,
    pub(crate) error_tracker: Backend,
    pub(crate) metrics_collector: Backend,
    pub(crate) origins: Origins,
    pub(crate) event_bytes_max: usize,
    /// Project and key.
    pub(crate) dsn_keys: Vec<(String, String)>,
    pub(crate) map_age_max: Duration,
}

/// Where events go.
pub(crate) struct Backend {
    /// Without a slash at its end.
    pub(crate) url: String,
    pub(crate) api_key: Secret,
}

impl Config {
    /// Reads all variables; every problem is reported at once.
    pub(crate) fn read(mut env: Env) -> Result<Self, Problems> {
        let config = Self {
            admin_key: ApiKey::new(env.required_key("ADMIN_API_KEY")),
            error_tracker: backend(&mut env, "ERROR_TRACKER_URL", "ERROR_TRACKER_API_KEY"),
            metrics_collector: backend(&mut env, "METRICS_COLLECTOR_URL", "METRICS_COLLECTOR_API_KEY"),
            settings: Settings::read(&mut env, &DEFAULTS),
            origins: origins(&mut env),
            event_bytes_max: env.integer("MAX_BODY_SIZE", 65_536, 1024..=EVENT_BYTES_MAX),
            dsn_keys: dsn_keys(&mut env),
            map_age_max: DAY * env.integer("RETENTION_DAYS", 90, 1..=36_500u32),
        };
        env.finish().map(|()| config)
    }
}

fn backend(env: &mut Env, url: &'static str, api_key: &'static str) -> Backend {
    let text = env.text(url).unwrap_or_default();
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    if text.is_empty() {
        env.problem(format!("{url}: required"));
    } else if host.is_empty() || host.starts_with('/') || text.contains(['?', '#']) || !text.is_ascii() {
        env.problem(format!("{url}: expected a URL such as http://error-tracker:8000, got {text:?}"));
    }
    Backend { url: text.trim_end_matches('/').to_owned(), api_key: env.required_key(api_key) }
}

fn origins(env: &mut Env) -> Origins {
    let entries = env.list("CORS_ORIGINS");
    Origins::parse(&entries).unwrap_or_else(|problem| {
        env.problem(format!("CORS_ORIGINS: {problem}"));
        Origins::default()
    })
}

fn dsn_keys(env: &mut Env) -> Vec<(String, String)> {
    let entries = env.list("DSN_KEYS");
    let mut keys = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        match dsn::parse_seed(entry) {
            Ok(key) => keys.push(key),
            Err(problem) => env.problem(format!("DSN_KEYS: entry {}: {problem}", number + 1)),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 5] = [
        ("ADMIN_API_KEY", "a"),
        ("ERROR_TRACKER_URL", "http://e:8000/"),
        ("ERROR_TRACKER_API_KEY", "e"),
        ("METRICS_COLLECTOR_URL", "https://m/base/"),
        ("METRICS_COLLECTOR_API_KEY", "m"),
    ];

    #[track_caller]
    fn problems(pairs: &[(&str, &str)]) -> String {
        let all = [&REQUIRED[..], pairs].concat();
        Config::read(Env::from_pairs(&all)).err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn defaults() {
        let config = Config::read(Env::from_pairs(&REQUIRED)).expect("a configuration");
        assert_eq!(
            (config.error_tracker.url.as_str(), config.metrics_collector.url.as_str()),
            ("http://e:8000", "https://m/base")
        );
        assert_eq!((config.event_bytes_max, config.settings.rate_limit, config.settings.workers), (65_536, 300, 16));
        assert!(config.origins.entries().is_empty() && config.dsn_keys.is_empty());
    }

    #[test]
    fn every_problem_is_named() {
        let none = Config::read(Env::from_pairs(&[])).err().map(|problems| problems.to_string()).unwrap_or_default();
        for (name, _) in REQUIRED {
            assert!(none.contains(name), "{name} in {none}");
        }
        for (name, value) in [
            ("ERROR_TRACKER_URL", "e:8000"),
            ("ERROR_TRACKER_URL", "http://"),
            ("METRICS_COLLECTOR_URL", "ftp://x"),
            ("METRICS_COLLECTOR_URL", "http://x?y"),
            ("CORS_ORIGINS", "example.com"),
            ("DSN_KEYS", "web"),
            ("MAX_BODY_SIZE", "-1"),
            ("RETENTION_DAYS", "0"),
        ] {
            assert!(problems(&[(name, value)]).contains(name), "{name}={value}");
        }
    }
}
