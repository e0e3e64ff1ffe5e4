//! Every URL of browser-relay, and who may use it.

use common::http::request::Method::{Delete, Get, Post};
use common::http::router::Access::{Guest, Key, Public};
use common::http::router::Route;
use common::service;

use crate::config::{EVENT_BYTES_MAX, KEY_BODY_BYTES_MAX, MAP_BODY_BYTES_MAX};
use crate::context::Context;
use crate::handlers::{browser, keys, self_metrics, source_maps};

/// The table; order does not matter. The short paths are those of the original's README. Preflights are answered at the
/// [door](crate::door).
pub(crate) const ROUTES: &[Route<Context>] = &[
    Route::new(Post, "/api/browser/errors", Guest, browser::error).with_body(EVENT_BYTES_MAX),
    Route::new(Post, "/api/errors", Guest, browser::error).with_body(EVENT_BYTES_MAX),
    Route::new(Post, "/api/browser/metrics", Guest, browser::metrics).with_body(EVENT_BYTES_MAX),
    Route::new(Post, "/api/metrics", Guest, browser::metrics).with_body(EVENT_BYTES_MAX),
    Route::new(Post, "/api/dsn-keys", Key, keys::create).with_body(KEY_BODY_BYTES_MAX),
    Route::new(Get, "/api/dsn-keys", Key, keys::list),
    Route::new(Delete, "/api/dsn-keys/{id}", Key, keys::deactivate),
    Route::new(Post, "/api/source-maps", Key, source_maps::create).with_body(MAP_BODY_BYTES_MAX),
    Route::new(Post, "/api/sourcemaps", Key, source_maps::create).with_body(MAP_BODY_BYTES_MAX),
    Route::new(Get, "/api/source-maps", Key, source_maps::list),
    Route::new(Get, "/api/sourcemaps", Key, source_maps::list),
    Route::new(Get, "/api/source-maps/resolve", Key, source_maps::resolve),
    Route::new(Delete, "/api/source-maps/{id}", Key, source_maps::delete),
    Route::new(Delete, "/api/sourcemaps/{id}", Key, source_maps::delete),
    Route::new(Get, "/metrics", Key, self_metrics::show),
    Route::new(Get, "/health", Public, service::health),
];
