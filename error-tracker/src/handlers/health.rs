//! `GET /health`: whether reports can be stored. Touches no disk, so that it answers under any load.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;

/// 200 `{"status":"ok"}`, or 503 with what keeps the database from being written.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let response = match ctx.shared.writer.trouble() {
        None => Response::json(200, &json!({"status": "ok"})),
        Some(trouble) => Response::json(
            503,
            &json!({"status": "error", "detail": format!("the database cannot be written: {trouble}")}),
        ),
    };
    Ok(response.with_header("cache-control", "no-store").into())
}
