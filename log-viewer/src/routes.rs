//! Every URL of log-viewer, and who may use it.

use common::http::request::Method::Get;
use common::http::router::Access::{Key, Public};
use common::http::router::{Access, Handler, Route};

use crate::context::Context;
use crate::handlers::{containers, export, health, logs, metrics, pages, stats, tail};

/// The table; order does not matter.
pub(crate) const ROUTES: &[Route<Context>] = &[
    route("/api/logs", Key, logs::list),
    route("/api/logs/{id}", Key, logs::show),
    route("/api/logs/export", Key, export::start),
    route("/api/containers", Key, containers::list),
    route("/api/logs/containers", Key, containers::list),
    route("/api/stats", Key, stats::show),
    route("/api/logs/stats", Key, stats::show),
    route("/api/logs/tail", Key, tail::follow),
    route("/metrics", Key, metrics::show),
    route("/health", Public, health::show),
    route("/", Public, pages::index),
    route("/index.html", Public, pages::index),
];

const fn route(path: &'static str, access: Access, handle: Handler<Context>) -> Route<Context> {
    Route { method: Get, path, access, handle }
}
