//! The gate of the public port: pages come in by DSN key, from origins that are allowed; operators by the admin key.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common::auth::ApiKey;
use common::clock::Clock;
use common::http::error::{ApiError, Kind};
use common::http::gate::{Admit, Admitted, Caller, Gate, Verdict, counted};
use common::http::head::Head;
use common::http::metrics::Refusal;
use common::http::request::{Method, Target};
use common::http::router::{self, Access, Found, Route};
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
/// What a preflight may hold: nothing, in practice.
const PREFLIGHT_BODY_BYTES_MAX: usize = 1 << 10;
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
    fn admit_page(&self, head: &Head<'_>, target: &Target, client: IpAddr) -> Verdict {
        let origin = origin(head);
        let is_preflight = head.method == "OPTIONS";
        let dsn = candidate(head.header("x-monlight-key"), &target.query).and_then(|key| self.keys.find(key));
        let allowed = origin.filter(|origin| self.allows(dsn.as_deref(), origin));
        let mut answer_headers = answer_headers(allowed);
        let outcome = match (is_preflight, allowed) {
            (true, Some(_)) => {
                answer_headers.push_str(&preflight_headers());
                Ok(Admitted { body_bytes_max: PREFLIGHT_BODY_BYTES_MAX, notes: Vec::new() })
            }
            _ => self.admit_by_key(dsn.as_deref(), origin, allowed, client),
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
        let Ok(target) = Target::parse(head.target) else { return self.admin.admit(head, caller) };
        let found = router::find(self.routes, Method::parse(head.method), &target.segments);
        let is_for_pages = match found {
            Found::Route(route, ..) => route.access == Access::Guest,
            // Whoever has only a DSN key reads why a request is wrong, too.
            Found::WrongMethod | Found::Nothing => is_path_of_pages(&target),
        };
        if is_for_pages { self.admit_page(head, &target, caller.client) } else { self.admin.admit(head, caller) }
    }
}

/// Paths that pages use: those of the contract and the short ones of the original's README.
fn is_path_of_pages(target: &Target) -> bool {
    let segments: Vec<&str> = target.segments.iter().map(String::as_str).collect();
    matches!(segments[..], ["api", "browser", ..] | ["api", "errors" | "metrics"])
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
