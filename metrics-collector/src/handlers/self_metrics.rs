//! `GET /metrics`: the service about itself, in the Prometheus text format.

use std::sync::atomic::Ordering;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;

use crate::context::Context;
use crate::store;

/// All figures.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let (mut page, shared) = (ctx.core.figures(), &ctx.shared);
    shared.figures.render(&mut page, ctx.core.clock.now());
    let refused = shared.ingest.refused.load(Ordering::Relaxed);
    page.counter("monlight_series_refused_total", "Batches refused for a series beyond MAX_SERIES.", refused);
    page.gauge("monlight_series", "Series there are.", store::series::count(ctx.reader()?)?);
    Ok(page.response().into())
}
