//! The way to the back ends. The service names `ureq` nowhere else; `upload` is another program in the same binary.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Error};

use crate::config::Backend;

/// Both back ends are near; one that does not take a connection in this time is away.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
/// From the first byte sent to the last one read. A browser waits no longer for its answer. It is shorter than what requests
/// in progress get when the service stops (3 s), so that then, too, what a back end hangs over is stored and answered.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(2500);
/// What is passed on of a back end's answer.
const ANSWER_BYTES_MAX: u64 = 4096;
/// Idle connections kept per back end: as many as workers usually send at a time.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// The back ends close after a minute.
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Ours are in pieces of a few KB at most; ureq's 128 KB per connection would be too much memory.
const BUFFER_BYTES: usize = 8 << 10;

/// Which back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Errors,
    Metrics,
}

impl Target {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Errors, Self::Metrics];

    /// The word in the database and in self-metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Metrics => "metrics",
        }
    }
}

/// What is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) target: Target,
    /// The same at every try, so that a back end counts it once.
    pub(crate) idempotency_key: String,
    /// The browser's address.
    pub(crate) client: String,
    pub(crate) body: Vec<u8>,
}

/// What a back end makes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It took it.
    Taken { status: u16, body: Vec<u8> },
    /// It will never take it.
    Refused { status: u16 },
    /// It takes no more from this browser for now: it counts by the browser's address.
    Limited { retry_after: Option<Duration> },
    /// It cannot be reached, does not answer, or says that it is busy: later, if it said so after this time.
    Away { why: String, retry_after: Option<Duration> },
}

/// Keep-alive connections to both back ends.
pub(crate) struct Upstream {
    errors: Way,
    metrics: Way,
}

struct Way {
    agent: Agent,
    url: String,
    backend: Backend,
}

impl Upstream {
    /// Connects nowhere yet.
    pub(crate) fn new(error_tracker: Backend, metrics_collector: Backend) -> Self {
        Self { errors: Way::new(error_tracker, "/api/errors"), metrics: Way::new(metrics_collector, "/api/metrics") }
    }

    /// Sends an event and waits for the answer.
    pub(crate) fn send(&self, event: &Event) -> Outcome {
        let way = match event.target {
            Target::Errors => &self.errors,
            Target::Metrics => &self.metrics,
        };
        way.send(event).unwrap_or_else(|error| Outcome::Away { why: error.to_string(), retry_after: None })
    }
}

impl Way {
    fn new(backend: Backend, path: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(ANSWER_TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .max_idle_age(IDLE_TIME_MAX)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            // What the environment says of proxies is for the way out, not for neighbours.
            .proxy(None)
            .build();
        Self { agent: config.new_agent(), url: format!("{}{path}", backend.url), backend }
    }

    fn send(&self, event: &Event) -> Result<Outcome, Error> {
        let response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-api-key", self.backend.api_key.expose())
            .header("x-forwarded-for", &event.client)
            .header("idempotency-key", &event.idempotency_key)
            .send(&event.body[..])?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let mut body = Vec::new();
        // Read to its end, so that the connection can be used again.
        response.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut body)?;
        Ok(match status {
            200..=202 => Outcome::Taken { status, body },
            429 => Outcome::Limited { retry_after },
            // Not followed: the key is for this back end only. A proxy that is being set up answers so, for a while.
            300..=399 | 500..=599 => Outcome::Away { why: format!("status {status}"), retry_after },
            _ => Outcome::Refused { status },
        })
    }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
