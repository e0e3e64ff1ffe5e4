//! `GET /health`: whether metrics can be stored, and how far rollups are.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use serde_json::json;

use crate::context::Context;

/// 200 with `status` `ok`; 503 while the database cannot be written. Costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let health = ctx.shared.figures.health(ctx.core.clock.now());
    let more = json!({
        "metrics_received_24h": health.received_day,
        "last_aggregation": health.newest_bucket.map(|bucket| bucket.to_string()),
        "rollup_lag_seconds": health.lag.map(|lag| lag.as_secs()),
    });
    Ok(ctx.core.health(None, more).into())
}
