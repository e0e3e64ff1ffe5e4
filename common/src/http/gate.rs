//! The gate: who may come in, and how often. It looks at the head alone, before a body is read, so that a stranger
//! cannot make the service hold one (docs/decisions/0001-gate-before-body.md).

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::auth::ApiKey;
use crate::clock::Clock;
use crate::http::error::{ApiError, Kind};
use crate::http::head::Head;
use crate::http::metrics::Refusal;
use crate::http::request::{Method, Target};
use crate::http::response::Response;
use crate::http::router::{self, Access, Found, Route};
use crate::rate_limit::{RateLimit, RetryAfter};

/// Addresses whose requests are counted at a time; the least recent is forgotten beyond it. About 1 MB when all are busy.
const CLIENTS_MAX: usize = 1024;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Who is connected.
    pub peer: IpAddr,
    /// For whom: the same, unless a proxy is trusted to tell.
    pub client: IpAddr,
}

/// Decides from a head whether the request may go on.
pub trait Admit: Send + Sync {
    /// Looks at a request's head.
    fn admit(&self, head: &Head<'_>, caller: Caller) -> Verdict;
}

/// What the gate says of a request.
pub struct Verdict {
    /// Whether it may go on.
    pub outcome: Outcome,
    /// Headers that the answer has in any case, whoever gives it: each line with its `\r\n`.
    pub answer_headers: String,
}

/// What becomes of a request.
pub enum Outcome {
    /// It may go on.
    Admitted(Admitted),
    /// This is all there is to say; no worker needs to see it.
    Answered(Response),
    /// It may not go on, and is counted as this.
    Refused(ApiError, Refusal),
}

/// A request that may go on.
#[derive(Debug, Default)]
pub struct Admitted {
    /// The most bytes its body may have.
    pub body_bytes_max: usize,
    /// What the gate has found out and the handler needs, as headers that no client can send: see
    /// [`Request::header`](crate::http::request::Request::header).
    pub notes: Vec<(&'static str, String)>,
}

impl From<Result<Admitted, (ApiError, Refusal)>> for Outcome {
    fn from(result: Result<Admitted, (ApiError, Refusal)>) -> Self {
        match result {
            Ok(admitted) => Self::Admitted(admitted),
            Err((error, refusal)) => Self::Refused(error, refusal),
        }
    }
}

/// The gate of a service with one API key: key, then rate per client address. Failed keys have a rate of their own, per peer:
/// whoever guesses may claim any address, and whoever knows the key is not held up by others who do not.
pub struct Gate<C: 'static> {
    routes: &'static [Route<C>],
    key: ApiKey,
    /// The most that any route takes. What matches none is answered only when it has arrived.
    body_bytes_max: usize,
    clock: Clock,
    requests: Mutex<RateLimit>,
    failures: Mutex<RateLimit>,
}

impl<C> Gate<C> {
    /// A gate for a route table; `per_minute` is the rate limit, 0 for none.
    pub fn new(routes: &'static [Route<C>], key: ApiKey, per_minute: u32, clock: Clock) -> Self {
        let body_bytes_max = routes.iter().map(|route| route.body_bytes_max).max().unwrap_or(0);
        let limit = || Mutex::new(RateLimit::new(per_minute, CLIENTS_MAX));
        Self { routes, key, body_bytes_max, clock, requests: limit(), failures: limit() }
    }

    fn check_key(&self, head: &Head<'_>, target: &Target) -> Result<(), ApiError> {
        if candidate(head, target).is_some_and(|candidate| self.key.matches(candidate)) {
            return Ok(());
        }
        Err(ApiError::new(Kind::Unauthorized, "Invalid API key"))
    }

    fn count(&self, limit: &Mutex<RateLimit>, client: &str) -> Result<(), (ApiError, Refusal)> {
        let checked = lock(limit).check(client, self.clock.now());
        checked.map_err(|RetryAfter(seconds)| {
            (ApiError::new(Kind::TooMany(seconds), "Rate limit exceeded"), Refusal::RateLimited)
        })
    }
}

impl<C> Admit for Gate<C> {
    fn admit(&self, head: &Head<'_>, caller: Caller) -> Verdict {
        let checked = self.check(head, caller).map(|body_bytes_max| Admitted { body_bytes_max, notes: Vec::new() });
        Verdict { outcome: checked.into(), answer_headers: String::new() }
    }
}

impl<C> Gate<C> {
    /// The most bytes the body may have, or the refusal.
    fn check(&self, head: &Head<'_>, caller: Caller) -> Result<usize, (ApiError, Refusal)> {
        let target = Target::parse(head.target).map_err(|bad| (bad.into(), Refusal::Malformed))?;
        let found = router::find(self.routes, Method::parse(head.method), &target.segments);
        if !matches!(found, Found::Route(Route { access: Access::Public, .. }, ..)) {
            if let Err(refused) = self.check_key(head, &target) {
                self.count(&self.failures, &counted(caller.peer))?;
                return Err((refused, Refusal::Unauthorized));
            }
            self.count(&self.requests, &counted(caller.client))?;
        }
        Ok(match found {
            Found::Route(route, ..) => route.body_bytes_max,
            Found::WrongMethod | Found::Nothing => self.body_bytes_max,
        })
    }
}

/// The key a request offers: the `X-API-Key` header even if it is wrong, else a bearer token, else `?api_key=`.
fn candidate<'a>(head: &Head<'a>, target: &'a Target) -> Option<&'a str> {
    let bearer = |value: &'a str| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
    };
    head.header("x-api-key")
        .or_else(|| head.header("authorization").and_then(bearer))
        .or_else(|| target.query.text("api_key"))
}

/// What a client is counted by: its address, or its /64 where one subscriber has so many.
pub fn counted(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
