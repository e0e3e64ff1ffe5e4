//! `GET /health`: whether metrics can be stored, and how far rollups are.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;

/// 200 with `status` `ok`; 503 while the database cannot be written. Costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let shared = &ctx.shared;
    let trouble = shared.writer.trouble();
    let health = shared.figures.health(shared.clock.now());
    let mut body = json!({
        "status": if trouble.is_none() { "ok" } else { "error" },
        "metrics_received_24h": health.received_day,
        "last_aggregation": health.newest_bucket.map(|bucket| bucket.to_string()),
        "rollup_lag_seconds": health.lag.map(|lag| lag.as_secs()),
    });
    let status = match trouble {
        None => 200,
        Some(trouble) => {
            body["detail"] = format!("the database cannot be written: {trouble}").into();
            503
        }
    };
    Ok(Response::json(status, &body).with_header("cache-control", "no-store").into())
}
