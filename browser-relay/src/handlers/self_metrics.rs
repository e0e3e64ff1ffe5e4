//! `GET /metrics`: the service about itself, in the Prometheus text format.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;

use crate::context::Context;
use crate::store;

/// All figures.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let mut page = ctx.core.figures();
    ctx.shared.outbox.render(&mut page, store::outbox::size(ctx.reader()?)?);
    Ok(page.response().into())
}
