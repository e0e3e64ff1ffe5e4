//! `GET /health`: whether lines are read and stored, and how fresh they are.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use serde_json::json;

use crate::context::Context;
use crate::entry::LogTime;
use crate::store;

/// 200 with `status` `ok`, or `degraded` while no containers can be looked for; 503 while the database cannot be written.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let (count, newest) = store::health(ctx.reader()?)?;
    let state = ctx.shared.status.state();
    let now = LogTime::from(ctx.core.clock.now());
    let more = json!({
        "logs_indexed": count,
        "last_ingest": newest.map(|time| time.to_string()),
        "newest_age_seconds": newest.map(|time| now.seconds_since(time)),
        "containers_watched": state.watched,
        "last_error": state.last_error,
    });
    let degraded = state.sources_trouble.map(|trouble| format!("LOG_SOURCES: {trouble}"));
    Ok(ctx.core.health(degraded, more).into())
}
