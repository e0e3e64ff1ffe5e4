//! `GET /metrics`: the service about itself, in the Prometheus text format.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;

use crate::context::Context;

/// All figures; costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let (mut page, shared) = (ctx.core.figures(), &ctx.shared);
    shared.status.figures.render(&mut page);
    page.gauge("monlight_log_containers", "Containers watched.", shared.status.state().watched);
    page.gauge("monlight_log_tails", "Live tails open.", shared.live.tails());
    Ok(page.response().into())
}
