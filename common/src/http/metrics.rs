//! What the HTTP side counts about itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::http::router::Route;
use crate::prometheus::Page;

/// The statuses we send; anything else is counted as the last, 500.
const STATUSES: [u16; 22] =
    [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 417, 422, 429, 431, 501, 502, 503, 507, 500];
/// Upper edges of the latency histogram, microseconds.
const LATENCY_EDGES: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// Why the screen turned something away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All connection slots were busy.
    ConnectionsFull,
    /// An idle connection made room for a new one, or an unread answer for another.
    Evicted,
    /// A malformed head or body.
    Malformed,
    /// The head was over its limit.
    HeadTooLarge,
    /// The head or body did not arrive in time.
    TooSlow,
    /// The body was over its limit.
    BodyTooLarge,
    /// Large bodies in flight had used up their memory.
    BodyMemory,
    /// Large answers on their way had used up their memory.
    AnswerMemory,
    /// No key or a wrong one.
    Unauthorized,
    /// Over the rate limit.
    RateLimited,
    /// The workers did not answer in time.
    WorkersBusy,
    /// `accept` failed (no file descriptors, no memory).
    AcceptFailed,
}

impl Refusal {
    const ALL: [Self; 12] = [
        Self::ConnectionsFull,
        Self::Evicted,
        Self::Malformed,
        Self::HeadTooLarge,
        Self::TooSlow,
        Self::BodyTooLarge,
        Self::BodyMemory,
        Self::AnswerMemory,
        Self::Unauthorized,
        Self::RateLimited,
        Self::WorkersBusy,
        Self::AcceptFailed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsFull => "connections_full",
            Self::Evicted => "evicted",
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::TooSlow => "too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyMemory => "body_memory",
            Self::AnswerMemory => "answer_memory",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::WorkersBusy => "workers_busy",
            Self::AcceptFailed => "accept_failed",
        }
    }
}

/// Counters of one server.
pub struct HttpMetrics {
    /// `METHOD path` of each route, then one row for what matched none or was answered at the gate.
    routes: Vec<(&'static str, &'static str)>,
    requests: Vec<[AtomicU64; STATUSES.len()]>,
    latency: [AtomicU64; LATENCY_EDGES.len() + 1],
    latency_sum_micros: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    /// Open connections.
    pub connections: AtomicUsize,
}

impl HttpMetrics {
    /// Counters for a route table.
    pub fn new<C>(routes: &[Route<C>]) -> Self {
        let mut names: Vec<_> = routes.iter().map(|route| (route.method.name(), route.path)).collect();
        names.push(("OTHER", "none"));
        Self {
            requests: names.iter().map(|_| Default::default()).collect(),
            routes: names,
            latency: Default::default(),
            latency_sum_micros: AtomicU64::new(0),
            refused: Default::default(),
            connections: AtomicUsize::new(0),
        }
    }

    /// Counts an answer. `place` is the route's place in the table; none when nothing matched.
    pub fn answered(&self, place: Option<usize>, status: u16, took: Duration) {
        self.count(place, status);
        let micros = took.as_micros() as u64;
        let edge = LATENCY_EDGES.iter().position(|edge| micros <= *edge).unwrap_or(LATENCY_EDGES.len());
        self.latency[edge].fetch_add(1, Ordering::Relaxed);
        self.latency_sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts an answer of the gate's own, which took no worker's time.
    pub fn answered_at_gate(&self, status: u16) {
        self.count(None, status);
    }

    fn count(&self, place: Option<usize>, status: u16) {
        let row = place.unwrap_or(self.requests.len() - 1);
        let column = STATUSES.iter().position(|s| *s == status).unwrap_or(STATUSES.len() - 1);
        self.requests[row][column].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts something turned away.
    pub fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Appends all counters.
    pub fn render(&self, page: &mut Page) {
        page.family("monlight_http_requests_total", "counter", "Requests by route and status.");
        for ((method, path), counts) in self.routes.iter().zip(&self.requests) {
            for (status, count) in STATUSES.iter().zip(counts) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = format!("method=\"{method}\",route=\"{path}\",status=\"{status}\"");
                    page.sample("monlight_http_requests_total", &labels, count);
                }
            }
        }
        page.family(
            "monlight_http_request_duration_seconds",
            "histogram",
            "From when a worker has seen a request, complete, to its answer; the wait for a commit or for other requests included.",
        );
        let seconds = self.latency_sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
        let edges = LATENCY_EDGES.map(|micros| micros as f64 / 1e6);
        page.histogram("monlight_http_request_duration_seconds", &edges, &self.latency, seconds);
        page.family("monlight_screen_refused_total", "counter", "Connections and requests turned away, by reason.");
        for refusal in Refusal::ALL {
            let count = self.refused[refusal as usize].load(Ordering::Relaxed);
            page.sample("monlight_screen_refused_total", &format!("reason=\"{}\"", refusal.name()), count);
        }
        page.gauge("monlight_connections", "Open connections.", self.connections.load(Ordering::Relaxed));
    }
}
