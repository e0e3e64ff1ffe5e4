//! `GET /metrics`: the service about itself, in the Prometheus text format.

use std::sync::atomic::Ordering;

use common::http::error::ApiError;
use common::http::metrics::Page;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;

use crate::context::Context;
use crate::store;

/// All figures.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let mut page = Page::default();
    let shared = &ctx.shared;
    shared.http.render(&mut page);
    shared.writer.render(&mut page);
    shared.database.render(&mut page);
    shared.figures.render(&mut page, shared.clock.now());
    common::process::render(&mut page, shared.started.elapsed());
    let refused = shared.ingest.refused.load(Ordering::Relaxed);
    page.counter("monlight_series_refused_total", "Batches refused for a series beyond MAX_SERIES.", refused);
    page.gauge("monlight_series", "Series there are.", store::series::count(ctx.reader()?)?);
    Ok(Response::new(200, "text/plain; version=0.0.4", page.finish().into_bytes()).into())
}
