//! `GET /health`: whether events can be kept. Back ends that are away make it no worse: their events wait.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;

/// 200 with `status` `ok`; 503 while the database cannot be written.
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
