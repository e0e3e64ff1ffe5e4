//! The gate of the public port: pages come in by DSN key, from origins that are allowed; operators by the admin key.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common::auth::ApiKey;
use common::clock::Clock;
use common::http::error::{ApiError, Kind};
use common::http::gate::{Admit, Admitted, Caller, Gate, Outcome, Verdict, counted};
use common::http::head::Head;
use common::http::metrics::Refusal;
use common::http::request::{Method, Target};
use common::http::response::Response;
use common::http::router::{self, Access, Found, Route};
use common::query::BadEscape;
use common::rate_limit::{RateLimit, RetryAfter};

use crate::context::Context;
use crate::cors::Origins;
use crate::dsn::{Dsn, Keys, candidate};

/// The note that tells a handler which key was shown: its id.
pub(crate) const DSN_NOTE: &str = "x-monlight-dsn";
/// The note with the browser's address.
pub(crate) const CLIENT_NOTE: &str = "x-monlight-client";

/// Pairs of key and address, and addresses of failed tries, that are counted at a time. The limit is higher than that of
/// services within the network, so each costs more: some 4 MB when all are busy.
const CLIENTS_MAX: usize = 2048;
/// How long a browser remembers a preflight.
const PREFLIGHT_SECONDS: u32 = 86_400;

/// Decides for pages itself and leaves the rest to the admin's gate.
pub(crate) struct Door {
    routes: &'static [Route<Context>],
    admin: Gate<Context>,
    keys: Arc<Keys>,
    /// For keys without origins of their own.
    origins: Origins,
    event_bytes_max: usize,
    clock: Clock,
    pages: Mutex<RateLimit>,
    strangers: Mutex<RateLimit>,
}

type Refused = (ApiError, Refusal);

impl Door {
    /// `per_minute` is the limit per key and address, 0 for none.
    pub(crate) fn new(
        routes: &'static [Route<Context>],
        admin_key: ApiKey,
        keys: Arc<Keys>,
        origins: Origins,
        event_bytes_max: usize,
        per_minute: u32,
        clock: Clock,
    ) -> Self {
        let limit = || Mutex::new(RateLimit::new(per_minute, CLIENTS_MAX));
        let admin = Gate::new(routes, admin_key, per_minute, clock.clone());
        Self { routes, admin, keys, origins, event_bytes_max, clock, pages: limit(), strangers: limit() }
    }

    /// A request of a page.
    fn admit_page(&self, head: &Head<'_>, target: Result<Target, BadEscape>, client: IpAddr) -> Verdict {
        let origin = origin(head);
        let query = target.as_ref().ok().map(|target| &target.query);
        let dsn = candidate(head.header("x-monlight-key"), query).and_then(|key| self.keys.find(key));
        let allowed = origin.filter(|origin| self.allows(dsn.as_deref(), origin));
        let mut answer_headers = answer_headers(allowed);
        let outcome = if head.method == "OPTIONS" && allowed.is_some() {
            // Whatever is wrong with the request itself: only after this does the page get to read it.
            answer_headers.push_str(&preflight_headers());
            Outcome::Answered(Response::no_content())
        } else if let Err(bad) = target {
            Outcome::Refused(bad.into(), Refusal::Malformed)
        } else {
            self.admit_by_key(dsn.as_deref(), origin, allowed, client).into()
        };
        Verdict { outcome, answer_headers }
    }

    fn admit_by_key(
        &self,
        dsn: Option<&Dsn>,
        origin: Option<&str>,
        allowed: Option<&str>,
        client: IpAddr,
    ) -> Result<Admitted, Refused> {
        let address = counted(client);
        let Some(dsn) = dsn else {
            self.count(&self.strangers, &address)?;
            return Err((ApiError::new(Kind::Unauthorized, "Invalid DSN key"), Refusal::Unauthorized));
        };
        self.count(&self.pages, &format!("{} {address}", dsn.id))?;
        if dsn.origins.is_some() && origin.is_some() && allowed.is_none() {
            return Err((ApiError::new(Kind::Forbidden, "Origin not allowed for this DSN key"), Refusal::Unauthorized));
        }
        let notes = vec![(DSN_NOTE, dsn.id.to_string()), (CLIENT_NOTE, client.to_string())];
        Ok(Admitted { body_bytes_max: self.event_bytes_max, notes })
    }

    /// Without a key, as in a preflight or with a wrong one: whatever any key allows.
    fn allows(&self, dsn: Option<&Dsn>, origin: &str) -> bool {
        match dsn {
            Some(Dsn { origins: Some(own), .. }) => own.allow(origin),
            Some(_) => self.origins.allow(origin),
            None => self.origins.allow(origin) || self.keys.any_allows(origin),
        }
    }

    fn count(&self, limit: &Mutex<RateLimit>, client: &str) -> Result<(), Refused> {
        let mut limit = limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.check(client, self.clock.now()).map_err(|RetryAfter(seconds)| {
            (ApiError::new(Kind::TooMany(seconds), "Rate limit exceeded"), Refusal::RateLimited)
        })
    }
}

impl Admit for Door {
    fn admit(&self, head: &Head<'_>, caller: Caller) -> Verdict {
        let target = Target::parse(head.target);
        let is_for_pages = match &target {
            Ok(target) => match router::find(self.routes, Method::parse(head.method), &target.segments) {
                Found::Route(route, ..) => route.access == Access::Guest,
                // Whoever has only a DSN key reads why a request is wrong, too.
                Found::WrongMethod | Found::Nothing => is_path_of_pages(target.segments.iter().map(String::as_str)),
            },
            Err(_) => is_path_of_pages(path(head.target).split('/').skip(1)),
        };
        if is_for_pages { self.admit_page(head, target, caller.client) } else { self.admin.admit(head, caller) }
    }
}

/// Paths that pages use: those of the contract and the short ones of the original's README.
fn is_path_of_pages<'t>(segments: impl Iterator<Item = &'t str>) -> bool {
    let segments: Vec<&str> = segments.collect();
    matches!(segments[..], ["api", "browser", ..] | ["api", "errors" | "metrics"])
}

/// The path of a target that cannot be decoded.
fn path(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The origin of the page, if it is one that can be repeated in a header.
fn origin<'h>(head: &Head<'h>) -> Option<&'h str> {
    head.header("origin").filter(|origin| origin.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn answer_headers(allowed: Option<&str>) -> String {
    let vary = "vary: Origin\r\n";
    match allowed {
        // A beacon brings credentials along, so its answer must allow them.
        Some(origin) => format!(
            "access-control-allow-origin: {origin}\r\naccess-control-allow-credentials: true\r\n\
             access-control-expose-headers: Retry-After\r\n{vary}"
        ),
        None => vary.into(),
    }
}

fn preflight_headers() -> String {
    format!(
        "access-control-allow-methods: POST, OPTIONS\r\n\
         access-control-allow-headers: X-Monlight-Key, Content-Type, Idempotency-Key\r\n\
         access-control-max-age: {PREFLIGHT_SECONDS}\r\n"
    )
}
