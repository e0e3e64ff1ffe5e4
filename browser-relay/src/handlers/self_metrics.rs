//! `GET /metrics`: the service about itself, in the Prometheus text format.

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
    common::process::render(&mut page, shared.started.elapsed());
    shared.outbox.render(&mut page, store::outbox::size(ctx.reader()?)?);
    Ok(Response::new(200, "text/plain; version=0.0.4", page.finish().into_bytes()).into())
}
