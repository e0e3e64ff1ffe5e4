//! Every URL of error-tracker, and who may use it.

use common::http::request::Method::{Get, Post};
use common::http::router::Access::{Key, Public};
use common::http::router::{Access, Handler, Route};

use crate::context::Context;
use crate::handlers::{alerts, errors, health, metrics, pages, projects};

/// The table; order does not matter.
pub(crate) const ROUTES: &[Route<Context>] = &[
    route(Post, "/api/errors", Key, errors::create),
    route(Get, "/api/errors", Key, errors::list),
    route(Get, "/api/errors/{id}", Key, errors::show),
    route(Post, "/api/errors/{id}/resolve", Key, errors::resolve),
    route(Get, "/api/projects", Key, projects::list),
    route(Get, "/api/alerts", Key, alerts::list),
    route(Post, "/api/test-alert", Key, alerts::test),
    route(Get, "/metrics", Key, metrics::show),
    route(Get, "/health", Public, health::show),
    route(Get, "/", Public, pages::index),
    route(Get, "/index.html", Public, pages::index),
    route(Get, "/errors/{id}", Public, pages::index),
];

const fn route(
    method: common::http::request::Method,
    path: &'static str,
    access: Access,
    handle: Handler<Context>,
) -> Route<Context> {
    Route { method, path, access, handle }
}
