//! The settings of error-tracker, read once at start, and its limits.

use std::path::PathBuf;
use std::time::Duration;

use common::auth::ApiKey;
use common::env::{Env, Problems};
use common::settings::{Defaults, Settings};

use crate::mailer::{Mailer, SmtpConfig};

/// A report is at most this large; the original's limit.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;
/// The ids of 200 errors.
pub(crate) const IDS_BYTES_MAX: usize = 8 << 10;

/// What differs from the other services.
pub(crate) const DEFAULTS: Defaults = Defaults { database_path: "./data/errors.db", rate_limit: 100, workers: 4 };

/// The text of `--help` between the usage line and what all services have.
pub(crate) const HELP: &str = "\
Groups exceptions by fingerprint, keeps the last occurrences of each, and sends alerts by e-mail.
It is configured by environment variables; a secret NAME may be read from a file named by NAME_FILE.

  API_KEY              required  the key clients send as X-API-Key or Authorization: Bearer (secret)
  RETENTION_DAYS       90        days a resolved error is kept, negative for ever
  BASE_URL             http://localhost:5010   where links in mails point

Alerts are sent when SMTP_HOST and ALERT_EMAILS are both set:
  SMTP_HOST, SMTP_PORT 25        465: TLS from the first byte; else STARTTLS where the server offers it
  SMTP_USERNAME, SMTP_PASSWORD   log in when both are set (SMTP_PASSWORD is a secret)
  SMTP_PLAINTEXT_AUTH  false     allow the login without TLS
  SMTP_CA_FILE                   more CA certificates to trust (PEM)
  SMTP_FROM            errors@example.com
  ALERT_EMAILS                   recipients, separated by commas
  ALERT_RETRY_SECONDS  0,5,30,120,600   when to try a mail again
";

/// The pause before each attempt to send a mail, seconds: a restarting mail server is back after minutes.
const RETRY_SECONDS: [u64; 5] = [0, 5, 30, 120, 600];
/// More attempts than this are not worth a mail.
const RETRIES_MAX: usize = 20;

/// Everything the environment decides.
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) api_key: ApiKey,
    /// How long a resolved group is kept; none: for ever.
    pub(crate) retention: Option<Duration>,
    pub(crate) alerts: Alerts,
    pub(crate) base_url: String,
}

/// Whether alerts are sent, or what is missing.
pub(crate) enum Alerts {
    On { mailer: Box<Mailer>, retry_after: Vec<Duration> },
    Off { missing: &'static str },
}

impl Config {
    /// Reads all variables; every problem is reported at once.
    pub(crate) fn read(mut env: Env) -> Result<Self, Problems> {
        let config = Self {
            api_key: ApiKey::new(env.required_key("API_KEY")),
            settings: Settings::read(&mut env, &DEFAULTS),
            retention: days(env.integer("RETENTION_DAYS", 90, i64::MIN..=i64::MAX)),
            alerts: Alerts::read(&mut env),
            base_url: base_url(&mut env),
        };
        env.finish().map(|()| config)
    }
}

/// Negative means for ever; so does what is longer than time itself.
fn days(days: i64) -> Option<Duration> {
    u64::try_from(days).ok().and_then(|days| days.checked_mul(24 * 60 * 60)).map(Duration::from_secs)
}

fn base_url(env: &mut Env) -> String {
    let url = env.text_or("BASE_URL", "http://localhost:5010");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        env.problem(format!("BASE_URL: expected http://… or https://…, got {url:?}"));
    }
    url.trim_end_matches('/').to_owned()
}

impl Alerts {
    fn read(env: &mut Env) -> Self {
        let host = env.text("SMTP_HOST");
        let recipients = env.list("ALERT_EMAILS");
        let smtp = SmtpConfig {
            host: host.clone().unwrap_or_default(),
            port: env.integer("SMTP_PORT", 25, 1..=u16::MAX),
            username: env.text("SMTP_USERNAME"),
            password: env.secret("SMTP_PASSWORD"),
            from: env.text_or("SMTP_FROM", "errors@example.com"),
            recipients,
            ca_file: env.text("SMTP_CA_FILE").map(PathBuf::from),
            plaintext_auth: env.flag("SMTP_PLAINTEXT_AUTH", false),
        };
        let retry_after = retry_delays(env);
        if host.is_none() {
            return Self::Off { missing: "SMTP_HOST is not set" };
        }
        if smtp.recipients.is_empty() {
            return Self::Off { missing: "ALERT_EMAILS is not set" };
        }
        match Mailer::new(smtp) {
            Ok(mailer) => Self::On { mailer: Box::new(mailer), retry_after },
            Err(problems) => {
                for problem in problems {
                    env.problem(problem);
                }
                Self::Off { missing: "the mail settings have problems" }
            }
        }
    }
}

fn retry_delays(env: &mut Env) -> Vec<Duration> {
    let words = env.list("ALERT_RETRY_SECONDS");
    let seconds: Option<Vec<u64>> = words.iter().map(|word| word.parse().ok().filter(|s| *s <= 86_400)).collect();
    let seconds = match seconds {
        Some(seconds) if seconds.is_empty() => RETRY_SECONDS.to_vec(),
        Some(seconds) if seconds.len() <= RETRIES_MAX => seconds,
        _ => {
            let given = words.join(",");
            env.problem(format!(
                "ALERT_RETRY_SECONDS: expected up to {RETRIES_MAX} numbers up to 86400, got {given:?}"
            ));
            Vec::new()
        }
    };
    seconds.into_iter().map(Duration::from_secs).collect()
}
