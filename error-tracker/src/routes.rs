//! Every URL of error-tracker, and who may use it.

use common::http::request::Method::{Get, Post};
use common::http::router::Access::{Key, Public};
use common::http::router::Route;
use common::{service, ui};

use crate::config::{BODY_BYTES_MAX, IDS_BYTES_MAX};
use crate::context::Context;
use crate::handlers::{alerts, errors, metrics, projects};

/// The table; order does not matter.
pub(crate) const ROUTES: &[Route<Context>] = &[
    Route::new(Post, "/api/errors", Key, errors::create).with_body(BODY_BYTES_MAX),
    Route::new(Get, "/api/errors", Key, errors::list),
    Route::new(Get, "/api/errors/{id}", Key, errors::show),
    Route::new(Post, "/api/errors/{id}/resolve", Key, errors::resolve),
    Route::new(Post, "/api/errors/{id}/reopen", Key, errors::reopen),
    Route::new(Post, "/api/errors/resolve", Key, errors::resolve_all).with_body(IDS_BYTES_MAX),
    Route::new(Get, "/api/projects", Key, projects::list),
    Route::new(Get, "/api/alerts", Key, alerts::list),
    Route::new(Post, "/api/test-alert", Key, alerts::test),
    Route::new(Get, "/metrics", Key, metrics::show),
    Route::new(Get, "/health", Public, service::health),
    Route::new(Get, "/", Public, ui::page),
    Route::new(Get, "/index.html", Public, ui::page),
    Route::new(Get, "/assets/{file}", Public, ui::asset),
    Route::new(Get, "/errors/{id}", Public, ui::page_below),
];
