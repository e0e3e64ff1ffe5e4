//! Every URL of metrics-collector, and who may use it.

use common::http::request::Method::{Get, Post};
use common::http::router::Access::{Key, Public};
use common::http::router::Route;
use common::ui;

use crate::config::BODY_BYTES_MAX;
use crate::context::Context;
use crate::handlers::{dashboard, health, labels, names, projects, questions, samples, self_metrics};

/// The table; order does not matter.
pub(crate) const ROUTES: &[Route<Context>] = &[
    Route::new(Post, "/api/metrics", Key, samples::create).with_body(BODY_BYTES_MAX),
    Route::new(Get, "/api/metrics", Key, questions::show),
    Route::new(Get, "/api/metrics/names", Key, names::list),
    Route::new(Get, "/api/metrics/labels", Key, labels::list),
    Route::new(Get, "/api/dashboard", Key, dashboard::show),
    Route::new(Get, "/api/projects", Key, projects::list),
    Route::new(Get, "/metrics", Key, self_metrics::show),
    Route::new(Get, "/health", Public, health::show),
    Route::new(Get, "/", Public, ui::page),
    Route::new(Get, "/index.html", Public, ui::page),
    Route::new(Get, "/assets/{file}", Public, ui::asset),
];
