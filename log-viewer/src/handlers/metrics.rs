//! `GET /metrics`: the service about itself, in the Prometheus text format.

use common::http::error::ApiError;
use common::http::metrics::Page;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;

use crate::context::Context;

/// All figures; costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let mut page = Page::default();
    let shared = &ctx.shared;
    shared.http.render(&mut page);
    shared.writer.render(&mut page);
    shared.database.render(&mut page);
    common::process::render(&mut page, shared.started.elapsed());
    shared.status.figures.render(&mut page);
    page.gauge("monlight_log_containers", "Containers watched.", shared.status.state().watched);
    page.gauge("monlight_log_tails", "Live tails open.", shared.live.tails());
    Ok(Response::new(200, "text/plain; version=0.0.4", page.finish().into_bytes()).into())
}
