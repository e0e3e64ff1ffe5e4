//! Every URL of log-viewer, and who may use it.

use common::http::request::Method::Get;
use common::http::router::Access::{Key, Public};
use common::http::router::Route;
use common::ui;

use crate::context::Context;
use crate::handlers::{containers, export, health, histogram, logs, metrics, stats, tail};

/// The table; order does not matter.
pub(crate) const ROUTES: &[Route<Context>] = &[
    Route::new(Get, "/api/logs", Key, logs::list),
    Route::new(Get, "/api/logs/{id}", Key, logs::show),
    Route::new(Get, "/api/logs/{id}/around", Key, logs::around),
    Route::new(Get, "/api/logs/histogram", Key, histogram::show),
    Route::new(Get, "/api/logs/export", Key, export::start),
    Route::new(Get, "/api/containers", Key, containers::list),
    Route::new(Get, "/api/logs/containers", Key, containers::list),
    Route::new(Get, "/api/stats", Key, stats::show),
    Route::new(Get, "/api/logs/stats", Key, stats::show),
    Route::new(Get, "/api/logs/tail", Key, tail::follow),
    Route::new(Get, "/metrics", Key, metrics::show),
    Route::new(Get, "/health", Public, health::show),
    Route::new(Get, "/", Public, ui::page),
    Route::new(Get, "/index.html", Public, ui::page),
    Route::new(Get, "/assets/{file}", Public, ui::asset),
];
