//! The settings of metrics-collector, read once at start, and its limits.

use std::time::Duration;

use common::auth::ApiKey;
use common::env::{Env, Problems};
use common::settings::{Defaults, Settings};

/// What differs from the other services.
pub(crate) const DEFAULTS: Defaults = Defaults { database_path: "./data/metrics.db", rate_limit: 200, workers: 4 };

/// The text of `--help` between the usage line and what all services have.
pub(crate) const HELP: &str = "\
Takes counters, histograms and gauges, and answers with right percentiles at every resolution.
It is configured by environment variables; a secret NAME may be read from a file named by NAME_FILE.

  API_KEY              required  the key clients send as X-API-Key or Authorization: Bearer (secret)

What is kept:
  RETENTION_RAW        1         hours that single values are kept
  RETENTION_MINUTE     24        hours that minutes are kept
  RETENTION_HOURLY     30        days that hours are kept
  AGGREGATION_INTERVAL 60        seconds between two rollups
  MAX_SERIES           20000     series at a time; values of further ones are refused
  ROLLUP_DROP_LABELS   session_id   labels, separated by commas, that are kept with single values only
";

/// The largest body, as in the original.
pub(crate) const BODY_BYTES_MAX: usize = 512 << 10;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Ten years; the original's README told seconds where hours were meant, and 3600 of them are 150 days.
const HOURS_MAX: u32 = 87_600;
const DAYS_MAX: u32 = 36_500;
/// A rollup looks at a day of minutes at most before it must be shown.
const INTERVAL_SECONDS_MAX: u64 = 3600;
/// What is known of a series costs some 150 bytes of memory: this is 15 MB, half of what there is.
const SERIES_MAX: u32 = 100_000;

/// Everything the environment decides.
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) api_key: ApiKey,
    pub(crate) retention: Retention,
    /// Between two rollups.
    pub(crate) aggregation_interval: Duration,
    pub(crate) series_max: u32,
    /// Labels that are kept with single values only, sorted.
    pub(crate) dropped_labels: Vec<String>,
}

/// How long each tier is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) raw: Duration,
    pub(crate) minutes: Duration,
    pub(crate) hours: Duration,
}

impl Config {
    /// Reads all variables; every problem is reported at once.
    pub(crate) fn read(mut env: Env) -> Result<Self, Problems> {
        let config = Self {
            api_key: ApiKey::new(env.required_key("API_KEY")),
            settings: Settings::read(&mut env, &DEFAULTS),
            retention: Retention {
                raw: HOUR * env.integer("RETENTION_RAW", 1, 1..=HOURS_MAX),
                minutes: HOUR * env.integer("RETENTION_MINUTE", 24, 1..=HOURS_MAX),
                hours: DAY * env.integer("RETENTION_HOURLY", 30, 1..=DAYS_MAX),
            },
            aggregation_interval: Duration::from_secs(env.integer(
                "AGGREGATION_INTERVAL",
                60,
                1..=INTERVAL_SECONDS_MAX,
            )),
            series_max: env.integer("MAX_SERIES", 20_000, 1..=SERIES_MAX),
            dropped_labels: dropped_labels(&mut env),
        };
        env.finish().map(|()| config)
    }
}

fn dropped_labels(env: &mut Env) -> Vec<String> {
    let mut labels = env.list("ROLLUP_DROP_LABELS");
    if labels.is_empty() {
        labels.push("session_id".into());
    }
    labels.sort();
    labels.dedup();
    labels
}
