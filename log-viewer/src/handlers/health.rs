//! `GET /health`: whether lines are read and stored, and how fresh they are.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;
use crate::entry::LogTime;
use crate::store;

/// 200 with `status` `ok`, or `degraded` while no containers can be looked for; 503 while the database cannot be written.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let shared = &ctx.shared;
    let (count, newest) = store::health(ctx.reader()?)?;
    let state = shared.status.state();
    let trouble = shared.writer.trouble().map(|trouble| format!("the database cannot be written: {trouble}"));
    let (status, word) = match (&trouble, &state.sources_trouble) {
        (Some(_), _) => (503, "error"),
        (None, Some(_)) => (200, "degraded"),
        (None, None) => (200, "ok"),
    };
    let now = LogTime::from(shared.clock.now());
    let mut body = json!({
        "status": word,
        "logs_indexed": count,
        "last_ingest": newest.map(|time| time.to_string()),
        "newest_age_seconds": newest.map(|time| now.seconds_since(time)),
        "containers_watched": state.watched,
        "last_error": state.last_error,
    });
    if let Some(detail) = trouble.or_else(|| state.sources_trouble.map(|trouble| format!("LOG_SOURCES: {trouble}"))) {
        body["detail"] = detail.into();
    }
    Ok(Response::json(status, &body).with_header("cache-control", "no-store").into())
}
